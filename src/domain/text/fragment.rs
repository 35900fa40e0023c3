//! A fragment of HTML as a tree, kept only until its text content is read.

use std::{
    borrow::Cow,
    cell::{Ref, RefCell},
};

use html5ever::{
    Attribute, LocalName, ParseOpts, QualName,
    interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink},
    ns, parse_fragment,
    tendril::{StrTendril, TendrilSink},
    tokenizer::TokenizerOpts,
    tree_builder::TreeBuilderOpts,
};

/// The text content, as the DOM defines it, of HTML that is parsed as the content of a `template` without scripting.
pub(super) fn text_content(html: &str) -> String {
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let tokenizer = TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() };
    let options = ParseOpts { tokenizer, tree_builder };
    let context = QualName::new(None, ns!(html), LocalName::from("template"));
    parse_fragment(Fragment::new(), options, context, Vec::new(), false).one(html)
}

/// The tree that the parser builds: nodes by their index, never removed, so that neither parsing nor dropping recurses.
struct Fragment(RefCell<Vec<Node>>);

type Handle = usize;

const ROOT: Handle = 0;

struct Node {
    kind: Kind,
    parent: Option<Handle>,
    children: Vec<Handle>,
}

enum Kind {
    Element {
        name: QualName,
        /// The fragment that holds what is in a `template`; no child, so its text does not count.
        content: Option<Handle>,
        is_mathml_annotation_xml_integration_point: bool,
    },
    Text(String),
    /// The root, the content of a `template`, comments: what has no text of its own.
    Other,
}

impl Fragment {
    fn new() -> Self {
        let fragment = Self(RefCell::new(Vec::new()));
        fragment.add(Kind::Other);
        fragment
    }

    fn add(&self, kind: Kind) -> Handle {
        let mut nodes = self.0.borrow_mut();
        nodes.push(Node { kind, parent: None, children: Vec::new() });
        nodes.len() - 1
    }

    /// The parent of a node, and its place among the children.
    fn place(&self, node: Handle) -> Option<(Handle, usize)> {
        let nodes = self.0.borrow();
        let parent = nodes[node].parent?;
        let is_node = |&child: &Handle| child == node;
        Some((parent, nodes[parent].children.iter().position(is_node).expect("a child is among its parent's children")))
    }

    /// Inserts before the child at a place. Text goes to the text before it, if there is one.
    fn insert(&self, parent: Handle, place: usize, child: NodeOrText<Handle>) {
        let node = match child {
            NodeOrText::AppendNode(node) => node,
            NodeOrText::AppendText(text) if self.extend_text(parent, place, &text) => return,
            NodeOrText::AppendText(text) => self.add(Kind::Text(text.into())),
        };
        let mut nodes = self.0.borrow_mut();
        nodes[node].parent = Some(parent);
        nodes[parent].children.insert(place, node);
    }

    /// Appends to the text before a place; false if there is none.
    fn extend_text(&self, parent: Handle, place: usize, text: &str) -> bool {
        let mut nodes = self.0.borrow_mut();
        let Some(before) = place.checked_sub(1) else { return false };
        let before = nodes[parent].children[before];
        match &mut nodes[before].kind {
            Kind::Text(begun) => begun.push_str(text),
            _ => return false,
        }
        true
    }
}

impl TreeSink for Fragment {
    type Handle = Handle;
    type Output = String;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> String {
        let nodes = self.0.into_inner();
        let mut text = String::new();
        let mut waiting = vec![ROOT];
        while let Some(node) = waiting.pop() {
            if let Kind::Text(piece) = &nodes[node].kind {
                text.push_str(piece);
            }
            waiting.extend(nodes[node].children.iter().rev());
        }
        text
    }

    fn get_document(&self) -> Handle {
        ROOT
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one == other
    }

    fn elem_name<'a>(&'a self, element: &'a Handle) -> Ref<'a, QualName> {
        Ref::map(self.0.borrow(), |nodes| match &nodes[*element].kind {
            Kind::Element { name, .. } => name,
            _ => unreachable!("the parser asks for the names of elements only"),
        })
    }

    fn create_element(&self, name: QualName, _: Vec<Attribute>, flags: ElementFlags) -> Handle {
        let content = flags.template.then(|| self.add(Kind::Other));
        let is_mathml_annotation_xml_integration_point = flags.mathml_annotation_xml_integration_point;
        self.add(Kind::Element { name, content, is_mathml_annotation_xml_integration_point })
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        self.add(Kind::Other)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        self.add(Kind::Other)
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        let end = self.0.borrow()[*parent].children.len();
        self.insert(*parent, end, child);
    }

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        if let NodeOrText::AppendNode(node) = &child {
            self.remove_from_parent(node);
        }
        if let Some((parent, place)) = self.place(*sibling) {
            self.insert(parent, place, child);
        }
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        if self.place(*element).is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn remove_from_parent(&self, node: &Handle) {
        if let Some((parent, place)) = self.place(*node) {
            let mut nodes = self.0.borrow_mut();
            nodes[parent].children.remove(place);
            nodes[*node].parent = None;
        }
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut nodes = self.0.borrow_mut();
        let children = std::mem::take(&mut nodes[*node].children);
        for &child in &children {
            nodes[child].parent = Some(*new_parent);
        }
        nodes[*new_parent].children.extend(children);
    }

    fn get_template_contents(&self, template: &Handle) -> Handle {
        match self.0.borrow()[*template].kind {
            Kind::Element { content: Some(content), .. } => content,
            _ => unreachable!("the parser asks for the contents of templates only"),
        }
    }

    fn is_mathml_annotation_xml_integration_point(&self, element: &Handle) -> bool {
        match self.0.borrow()[*element].kind {
            Kind::Element { is_mathml_annotation_xml_integration_point, .. } => {
                is_mathml_annotation_xml_integration_point
            }
            _ => false,
        }
    }

    // Only documents may declare them.
    fn allow_declarative_shadow_roots(&self, _: &Handle) -> bool {
        false
    }

    // What has no influence on the text.
    fn parse_error(&self, _: Cow<'static, str>) {}
    fn set_quirks_mode(&self, _: QuirksMode) {}
    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}
    fn add_attrs_if_missing(&self, _: &Handle, _: Vec<Attribute>) {}
}
