//! Whether a text that tests made is well-formed XML.

/// Whether every element of an XML or HTML text is closed where it must be, and every attribute quoted and unique.
pub(crate) fn well_formed(text: &str) -> Result<(), String> {
    const VOID: [&str; 3] = ["meta", "br", "link"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').ok_or("a tag without an end")? + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop().ok_or(format!("</{name}> without a start"))?;
            if last != name {
                return Err(format!("<{last}> is closed by </{name}>"));
            }
            continue;
        }
        let inner = tag.trim_end_matches('/');
        let name = inner.split_whitespace().next().ok_or("an empty tag")?;
        attributes(inner[name.len()..].trim()).map_err(|why| format!("<{tag}>: {why}"))?;
        if !tag.ends_with('/') && !name.starts_with('!') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("never closed: {open:?}")) }
}

fn attributes(mut text: &str) -> Result<(), String> {
    let mut seen = Vec::new();
    while let Some((name, after)) = text.split_once('=') {
        let value = after.strip_prefix('"').ok_or("a value without quotes")?;
        let end = value.find('"').ok_or("a value without an end")?;
        if seen.contains(&name.trim()) || name.trim().contains(' ') {
            return Err(format!("attribute {name:?} twice or torn"));
        }
        seen.push(name.trim());
        text = value[end + 1..].trim_start();
    }
    if text.is_empty() || text == "html" { Ok(()) } else { Err(format!("{text:?} is left")) }
}
