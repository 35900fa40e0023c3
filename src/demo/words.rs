//! What the people of the demo are called and what they talk about: data only. `statuses` puts it together.
//!
//! `{n}` in a text stands for a small number, `{mention}` for a link to somebody.

/// One invented person. Domains are below `.example`, which nobody can own (RFC 2606).
pub struct Person {
    /// Without `@`.
    pub username: &'static str,
    /// Empty for an account of this server.
    pub domain: &'static str,
    /// The display name.
    pub name: &'static str,
    /// What they write in, ISO 639 codes, at least one.
    pub languages: &'static [&'static str],
    /// Which drawing serves as avatar; 0 is none.
    pub avatar: u8,
    /// Whether the account says that it is a program.
    pub bot: bool,
}

const fn person(
    username: &'static str,
    domain: &'static str,
    name: &'static str,
    languages: &'static [&'static str],
    avatar: u8,
) -> Person {
    Person { username, domain, name, languages, avatar, bot: false }
}

/// What goes with a text.
pub enum Extra {
    /// The text stands alone.
    Nothing,
    /// Description and main colour (`0xRRGGBB`) of each picture.
    Photos(&'static [(&'static str, u32)]),
    /// A content warning.
    Warning(&'static str),
    /// Address, title and description of a page.
    Link(&'static str, &'static str, &'static str),
    /// The options of a poll.
    Poll(&'static [&'static str]),
}

/// The first sentence of a status, and what it is about.
pub struct Line {
    /// ISO 639 code.
    pub language: &'static str,
    /// As it is written; its channel has the lower-case form.
    pub tag: &'static str,
    /// One sentence or two, plain text.
    pub text: &'static str,
    /// A picture, a poll and the like.
    pub extra: Extra,
}

const fn line(language: &'static str, tag: &'static str, text: &'static str, extra: Extra) -> Line {
    Line { language, tag, text, extra }
}

/// The sentences of one language that fit anywhere.
pub struct Phrases {
    /// ISO 639 code.
    pub language: &'static str,
    /// A second sentence, or none (empty).
    pub endings: &'static [&'static str],
    /// What one says to somebody else's status.
    pub replies: &'static [&'static str],
    /// A paragraph that mentions somebody.
    pub thanks: &'static str,
    /// A paragraph that asks somebody.
    pub question: &'static str,
    /// What an edit adds.
    pub edit: &'static str,
}

/// The account that the demo's token belongs to.
pub const VIEWER: Person = person("demo", "", "Demo Account", &["en"], 3);

/// Everybody else.
pub const PEOPLE: &[Person] = &[
    person("ida", "", "Ida Lindqvist", &["en"], 1),
    person("marek", "", "Marek Dvořák", &["en", "de"], 2),
    person("aisha_r", "", "Aisha Rahman", &["en"], 0),
    person("tomas", "", "Tomás Ibarra", &["es", "en"], 4),
    person("hanneke", "", "Hanneke Vos", &["de"], 3),
    person("sora", "", "そら", &["ja"], 1),
    person("camille", "", "Camille Aubry", &["fr"], 2),
    person("oldtown_library", "", "Old Town Library", &["en"], 5),
    Person { username: "nightsky", domain: "", name: "Night Sky Almanac", languages: &["en"], avatar: 4, bot: true },
    person("june", "harbour.example", "June at the Harbour", &["en"], 1),
    person("petra", "garten.example", "Petra Winkler", &["de"], 5),
    person("lukas_b", "schiene.example", "Lukas Brandt", &["de"], 0),
    person("noemie", "atelier.example", "Noémie Garnier", &["fr", "en"], 3),
    person("basile", "vivier.example", "Basile", &["fr"], 0),
    person("haruka", "hidamari.example", "はるか", &["ja"], 5),
    person("kenji_m", "kissa.example", "Kenji Mori", &["ja", "en"], 2),
    person("lucia", "azotea.example", "Lucía Ferrer", &["es"], 1),
    person("rodrigo", "sierra.example", "Rodrigo Peña", &["es"], 0),
    person("fiadh", "bogland.example", "Fiadh", &["en"], 4),
    person("oyelaran", "compile.example", "Tunde Oyelaran", &["en"], 2),
    person("mrs_tanaka", "hidamari.example", "田中さんの庭", &["ja"], 3),
    person("wheelhouse", "velo.example", "Wheelhouse Repairs", &["en"], 5),
    person("greta", "nordlicht.example", "Greta Ólafsdóttir", &["en"], 0),
    person("pau", "azotea.example", "Pau Vidal", &["es"], 4),
];

use Extra::{Link, Nothing, Photos, Poll, Warning};

/// What there is to say, at least one line per language of each person.
#[rustfmt::skip] // one line of text, one line of the table
pub const LINES: &[Line] = &[
    line("en", "Coffee", "The new beans taste of plums and a little of burnt toast.", Nothing),
    line("en", "Coffee", "Cup {n} of the day, and it is not even noon.", Photos(&[("A white cup of black coffee on a windowsill, rain on the glass behind it", 0x6b4f3a)])),
    line("en", "Coffee", "How do you brew on a weekday?", Poll(&["Filter", "Espresso", "French press", "I drink tea"])),
    line("en", "Birds", "The heron is back on the weir, as punctual as a civil servant.", Photos(&[("A grey heron standing on one leg at the edge of a weir", 0x6f8794)])),
    line("en", "Birds", "Counted {n} goldfinches on the thistles behind the station.", Nothing),
    line("en", "Birds", "The swifts left last night. The sky over the square is very quiet now.", Nothing),
    line("en", "Books", "Finished the novel that {n} people told me to read, and all of them were right.", Nothing),
    line("en", "Books", "Three hundred pages in, somebody finally opened the locked door.", Warning("mild spoiler for a book from 1962")),
    line("en", "Books", "The reading room stays open until ten this week.", Link("https://library.example/opening-hours/autumn", "Longer evenings in the reading room", "From Monday to Thursday the lamps stay on until ten.")),
    line("en", "Photography", "Fog in the valley this morning, and nobody else on the path.", Photos(&[("A valley filled with fog, the tops of three pines above it", 0x9db0b8)])),
    line("en", "Photography", "Two frames from the last roll of the summer.", Photos(&[("A red rowing boat on a still lake", 0xa8574a), ("Evening light on a wooden jetty", 0xc98f52)])),
    line("en", "Photography", "The tide went out and left its handwriting on the sand.", Photos(&[("Branching patterns left by water on wet sand", 0xb59f7f)])),
    line("en", "Bread", "Loaf number {n} finally has the crust I was after.", Photos(&[("A round sourdough loaf with a dark, blistered crust", 0x9a6534)])),
    line("en", "Bread", "The starter survived two weeks in the fridge. I did not expect that.", Nothing),
    line("en", "RustLang", "Deleted {n} lines today and every test still passes.", Nothing),
    line("en", "RustLang", "The borrow checker was right, of course. It took me an hour to see why.", Nothing),
    line("en", "RustLang", "Wrote down how we trace a request through a pool of workers.", Link("https://compile.example/notes/tracing-a-worker-pool", "Tracing a worker pool", "What a span should hold, and what it should not.")),
    line("en", "Gardening", "The last tomatoes are in, {n} of them still green.", Photos(&[("Green and red tomatoes in a wicker basket", 0x8f4a38)])),
    line("en", "Gardening", "Slugs 1, lettuces 0. Again.", Warning("garden tragedy")),
    line("en", "Trains", "The night train was {n} minutes early, and no one knew what to do with the time.", Nothing),
    line("en", "Trains", "The small line along the coast runs again from Saturday.", Link("https://timetable.example/coast-line/reopening", "The coast line reopens", "Six trains a day, and the old stops are all back.")),
    line("en", "Astronomy", "The moon passes just below Saturn tonight, low in the south-east.", Nothing),
    line("en", "Astronomy", "Northern lights, faint but green, for about {n} minutes.", Photos(&[("A pale green arc of light above a dark shoreline", 0x2f6a5c)])),
    line("en", "Cycling", "{n} km before breakfast, most of them against the wind.", Nothing),
    line("en", "Cycling", "A bent wheel, a spare tube and a happy child. A good day at the workshop.", Nothing),
    line("en", "Music", "The choir sang in the stairwell because the hall was locked. It sounded better.", Nothing),
    line("en", "Music", "Which record is on today?", Poll(&["Something old", "Something loud", "Something without words"])),
    line("en", "Coffee", "Rain & tea instead, for once <3", Nothing),

    line("de", "Coffee", "Der erste Kaffee des Tages, und das Haus schläft noch.", Photos(&[("Eine blaue Tasse auf einem Holztisch im Morgenlicht", 0x4f6d8a)])),
    line("de", "Trains", "Anschluss verpasst, dafür {n} Minuten Sonne auf dem Bahnsteig.", Nothing),
    line("de", "Trains", "Wie fahrt ihr am liebsten in den Urlaub?", Poll(&["Nachtzug", "Tagzug", "Fahrrad", "Ich bleibe zu Hause"])),
    line("de", "Gardening", "Die Dahlien blühen noch, als hätte ihnen niemand vom Herbst erzählt.", Photos(&[("Dunkelrote Dahlien vor einer Ziegelmauer", 0x8c2f45)])),
    line("de", "Gardening", "{n} Kilo Quitten geerntet. Wer braucht Gelee?", Nothing),
    line("de", "Bread", "Das Roggenbrot ist aufgegangen, und zwar über den Rand hinaus.", Nothing),
    line("de", "Books", "Im Antiquariat ein Kursbuch von 1936 gefunden. Ich fahre jetzt im Kopf.", Nothing),
    line("de", "Birds", "Am Weiher {n} Kraniche gezählt, alle auf dem Weg nach Süden.", Nothing),
    line("de", "Cycling", "Der Radweg am Kanal ist endlich fertig.", Link("https://schiene.example/notizen/kanalradweg", "Der Kanalradweg ist offen", "Zwölf Kilometer ohne Ampel, vom Hafen bis zur Schleuse.")),
    line("de", "Music", "Die Nachbarin übt Cello, und das ganze Haus hört heimlich zu.", Nothing),

    line("fr", "Coffee", "Un café au comptoir, le journal plié, et {n} minutes devant moi.", Nothing),
    line("fr", "Photography", "La lumière de sept heures sur les toits, avant que la ville se réveille.", Photos(&[("Des toits de zinc bleutés sous un ciel rose", 0x7d7fa0)])),
    line("fr", "Bread", "La boulangère m’a gardé la dernière miche. La journée commence bien.", Nothing),
    line("fr", "Books", "Relu d’une traite un roman que je croyais connaître.", Warning("la fin d’un vieux roman")),
    line("fr", "Gardening", "Les figues sont mûres, et les merles le savent déjà.", Photos(&[("Trois figues ouvertes sur une assiette blanche", 0x7a3f55)])),
    line("fr", "Music", "Hier soir, un accordéon sous le pont, et {n} personnes qui dansaient.", Nothing),
    line("fr", "Cycling", "Quel temps pour rouler ce dimanche ?", Poll(&["Soleil", "Pluie", "Vent de face, toujours"])),
    line("fr", "Photography", "L’atelier ouvre ses portes samedi.", Link("https://atelier.example/portes-ouvertes", "Portes ouvertes à l’atelier", "Gravures, encres et thé à la menthe, de dix heures à la nuit.")),

    line("es", "Coffee", "Café con leche, tostada con tomate y ninguna prisa.", Photos(&[("Una tostada con tomate junto a una taza de café", 0xb3653e)])),
    line("es", "Astronomy", "Anoche vimos {n} estrellas fugaces desde la azotea.", Nothing),
    line("es", "Cycling", "Subí el puerto en menos de una hora. Bajar fue todavía mejor.", Photos(&[("Una carretera de montaña con curvas bajo un cielo despejado", 0x7c9a6b)])),
    line("es", "Books", "La librería de la esquina cumple {n} años y sigue oliendo a papel.", Nothing),
    line("es", "Gardening", "El limonero del patio ha dado su primer limón.", Nothing),
    line("es", "Music", "¿Qué suena en tu cocina?", Poll(&["Bolero", "Rock", "La radio", "El silencio"])),
    line("es", "Birds", "Los vencejos ya no están, pero ha llegado un petirrojo.", Nothing),
    line("es", "Trains", "El tren lento por la costa, con la ventana abierta.", Nothing),

    line("ja", "Coffee", "朝の一杯。豆を変えたら、台所の匂いまで変わった。", Nothing),
    line("ja", "朝ごはん", "焼き鮭と味噌汁。それだけで十分な朝。", Photos(&[("木の盆にのった焼き鮭、味噌汁、白いご飯", 0xb5794f)])),
    line("ja", "朝ごはん", "今朝は何を食べましたか？", Poll(&["ごはん", "パン", "果物だけ", "これから"])),
    line("ja", "Gardening", "庭の金木犀が今年も咲きました。", Photos(&[("小さな橙色の花をつけた金木犀の枝", 0xc98a2e)])),
    line("ja", "Trains", "各駅停車で{n}駅。急がないのもいい。", Nothing),
    line("ja", "Birds", "ベランダにシジュウカラが{n}羽。しばらく動けなかった。", Nothing),
    line("ja", "Books", "古本屋で、誰かの栞がはさまったままの詩集を買った。", Nothing),
    line("ja", "Photography", "雨上がりの商店街。", Photos(&[("濡れた石畳に提灯の明かりが映る商店街", 0x8a5a4a)])),
];

/// One entry per language.
#[rustfmt::skip] // as above
pub const PHRASES: &[Phrases] = &[
    Phrases {
        language: "en",
        endings: &["", "", "More of this, please.", "I can recommend it.", "That is all. That is the post.", "Tomorrow again.", "Small things.", "Anyone else?", "It made my week."],
        replies: &["Oh, that is lovely.", "Same here, and I am not sorry.", "Where was that?", "You have just planned my weekend.", "Please post more of these."],
        thanks: "Thanks to {mention} for the tip.",
        question: "{mention} have you seen this yet?",
        edit: "Edit: mended a typo, thank you all.",
    },
    Phrases {
        language: "de",
        endings: &["", "Mehr brauche ich heute nicht.", "Sehr zu empfehlen.", "Morgen wieder.", "Kleine Freuden.", "Geht es noch jemandem so?"],
        replies: &["Wie schön!", "Das kenne ich gut.", "Wo war das?", "Bitte mehr davon."],
        thanks: "Danke an {mention} für den Hinweis.",
        question: "{mention} hast du das schon gesehen?",
        edit: "Nachtrag: Tippfehler behoben, danke.",
    },
    Phrases {
        language: "fr",
        endings: &["", "Rien de plus à ajouter.", "À refaire demain.", "Petits bonheurs.", "Et chez vous ?", "Je recommande."],
        replies: &["Magnifique.", "C’était où ?", "Pareil ici !", "Merci pour ce moment."],
        thanks: "Merci à {mention} pour le conseil.",
        question: "{mention} as-tu vu ça ?",
        edit: "Correction : une coquille en moins.",
    },
    Phrases {
        language: "es",
        endings: &["", "No hace falta más.", "Mañana, otra vez.", "Muy recomendable.", "Cosas pequeñas.", "¿A alguien más le pasa?"],
        replies: &["¡Qué bonito!", "¿Dónde fue eso?", "Aquí igual.", "Me has alegrado la tarde."],
        thanks: "Gracias a {mention} por la idea.",
        question: "{mention} ¿has visto esto?",
        edit: "Corrijo una errata, gracias.",
    },
    Phrases {
        language: "ja",
        endings: &["", "いい一日になりそう。", "また明日。", "小さな幸せ。", "おすすめです。"],
        replies: &["すてきですね。", "どこですか？", "うちも同じです。", "いい写真。"],
        thanks: "{mention} さん、教えてくれてありがとう。",
        question: "{mention} さん、これ見ましたか？",
        edit: "追記：誤字を直しました。",
    },
];
