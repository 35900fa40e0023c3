//! Pictures that need no file: avatars drawn as SVG, and blurhashes (<https://blurha.sh>) of photographs nobody took.

use fastrand::Rng;

/// An avatar as a `data:` URI. `drawing` is 1 to 5 (others count as 5), `hue` in degrees.
pub fn avatar(drawing: u8, hue: u32) -> String {
    let (sky, mid, dark) = (
        format!("hsl({hue},45%,78%)"),
        format!("hsl({},42%,56%)", (hue + 30) % 360),
        format!("hsl({},38%,34%)", (hue + 50) % 360),
    );
    let shapes = match drawing {
        1 => format!(
            "<circle cx='56' cy='26' r='11' fill='#fff8e7'/><path d='M0 54Q20 32 42 50T80 44V80H0Z' fill='{mid}'/>\
             <path d='M0 66Q28 48 80 68V80H0Z' fill='{dark}'/>"
        ),
        2 => format!(
            "<circle cx='40' cy='40' r='29' fill='{mid}'/><circle cx='40' cy='40' r='18' fill='{sky}'/>\
             <circle cx='40' cy='40' r='8' fill='{dark}'/>"
        ),
        3 => format!(
            "<path d='M40 10Q68 34 40 70Q12 34 40 10Z' fill='{mid}'/>\
             <path d='M40 20V76' stroke='{dark}' stroke-width='4' stroke-linecap='round'/>"
        ),
        4 => format!(
            "<path d='M0 80L30 26L52 60L62 44L80 80Z' fill='{dark}'/><path d='M30 26L38 41L23 39Z' fill='#fff8e7'/>\
             <circle cx='60' cy='20' r='7' fill='{mid}'/>"
        ),
        _ => format!(
            "<circle cx='40' cy='31' r='15' fill='{dark}'/><path d='M10 80Q12 50 40 50T70 80Z' fill='{mid}'/>\
             <circle cx='40' cy='33' r='11' fill='#f7dfc8'/>"
        ),
    };
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 80 80'><rect width='80' height='80' fill='{sky}'/>{shapes}</svg>"
    );
    // Only what a URI must not hold as it stands.
    let escaped =
        svg.replace('%', "%25").replace('#', "%23").replace('<', "%3C").replace('>', "%3E").replace(' ', "%20");
    format!("data:image/svg+xml,{escaped}")
}

const BASE83: &[u8; 83] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";

/// A blurhash of 4 × 3 components around the colour `0xRRGGBB`, 28 characters.
pub fn blurhash(rng: &mut Rng, colour: u32) -> String {
    let mut hash = String::with_capacity(28);
    base83(&mut hash, 3 + 2 * 9, 1);
    base83(&mut hash, rng.u32(14..26), 1); // the strongest component, of 82
    base83(&mut hash, colour & 0x00ff_ffff, 4);
    for component in 1..12_i32 {
        // Fine structure is fainter than coarse, and mostly a matter of brightness.
        let reach = (7 - component / 2).max(2);
        let brightness = rng.i32(-reach..=reach);
        let channel = |shift: i32| u32::try_from((9 + brightness + shift).clamp(0, 18)).unwrap_or(9);
        let (red, green, blue) = (channel(rng.i32(-1..=1)), channel(0), channel(rng.i32(-1..=1)));
        base83(&mut hash, (red * 19 + green) * 19 + blue, 2);
    }
    hash
}

fn base83(out: &mut String, value: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = value / 83_u32.pow(place) % 83;
        out.push(char::from(BASE83[digit as usize]));
    }
}
