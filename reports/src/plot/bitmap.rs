//! Prints a [`Scene`] as PNG, shapes through plotters' bitmap backend.
//!
//! plotters draws on whole pixels, so shapes are drawn at [`DRAWN`] times the scene's size and averaged down to
//! [`KEPT`] times: edges are smooth and positions precise. Texts come last, in front of all shapes, and are
//! filled glyph by glyph at the positions that [`super::font::width`] measures: plotters' own text drops the side
//! bearings, which spaces letters unevenly.
use ab_glyph::{Font, Glyph, PxScale, point};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::{Color, RGBColor};

use super::canvas::{Point, Rect, Scene, Shape, Stroke, Text};
use super::font;
use super::style::Colour;

/// Pixels of the PNG per pixel of the scene.
const KEPT: usize = 2;
/// Pixels drawn per pixel of the scene.
const DRAWN: usize = 4;
/// Pixels drawn per pixel of the PNG, along one axis.
const STEP: usize = DRAWN / KEPT;

/// A colour's value, on light or on dark paper.
type Scheme = fn(Colour) -> (u8, u8, u8);

/// The picture as a PNG file's bytes; an error is the reason in words.
pub(crate) fn print(scene: &Scene, scheme: Scheme) -> Result<Vec<u8>, String> {
    let (width, height) = (scene.form.width().round() as usize, scene.height.round() as usize);
    let (wide, high) = (width * DRAWN, height * DRAWN);
    let (r, g, b) = scheme(Colour::Paper);
    let mut drawn = [r, g, b].repeat(wide * high);
    {
        let mut backend = BitMapBackend::with_buffer(&mut drawn, (wide as u32, high as u32));
        for item in &scene.items {
            draw(&mut backend, &item.shape, scheme)?;
        }
        backend.present().map_err(|e| e.to_string())?;
    }
    let (columns, rows) = (width * KEPT, height * KEPT);
    let mut kept = average(&drawn, columns, rows);
    for item in &scene.items {
        if let Shape::Text(text) = &item.shape {
            write(&mut kept, columns, text, scheme);
        }
    }
    encode(&kept, columns as u32, rows as u32).map_err(|e| e.to_string())
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // 144 dpi: the picture is meant to be shown at half its pixels.
    let unit = png::Unit::Meter;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: 5669, yppu: 5669, unit }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

/// Averages squares of `STEP` × `STEP` pixels.
fn average(drawn: &[u8], columns: usize, rows: usize) -> Vec<u8> {
    let stride = columns * STEP * 3;
    let mut kept = Vec::with_capacity(columns * rows * 3);
    let mut sums = vec![0_u16; columns * 3];
    for row in 0..rows {
        sums.fill(0);
        for line in drawn[row * STEP * stride..(row + 1) * STEP * stride].chunks_exact(stride) {
            for (sum, square) in sums.chunks_exact_mut(3).zip(line.chunks_exact(3 * STEP)) {
                for pixel in square.chunks_exact(3) {
                    sum[0] += u16::from(pixel[0]);
                    sum[1] += u16::from(pixel[1]);
                    sum[2] += u16::from(pixel[2]);
                }
            }
        }
        let count = (STEP * STEP) as u16;
        kept.extend(sums.iter().map(|sum| ((sum + count / 2) / count) as u8));
    }
    kept
}

/// An error is plotters' reason in words.
type Drawn = Result<(), String>;

fn draw<B: DrawingBackend>(backend: &mut B, shape: &Shape, scheme: Scheme) -> Drawn {
    let rgb = |colour: Colour| {
        let (r, g, b) = scheme(colour);
        RGBColor(r, g, b)
    };
    match shape {
        Shape::Polygon { points, fill, opacity } => fill_polygon(backend, points, rgb(*fill), *opacity),
        Shape::Line { points, stroke } => draw_line(backend, points, stroke, rgb(stroke.colour)),
        Shape::Circle { centre, radius, fill, stroke } => {
            if let Some(fill) = fill {
                fill_polygon(backend, &ring(*centre, *radius), rgb(*fill), 1.0)?;
            }
            if let Some(stroke) = stroke {
                let mut points = ring(*centre, *radius);
                points.push(points[0]);
                draw_line(backend, &points, stroke, rgb(stroke.colour))?;
            }
            Ok(())
        }
        Shape::Text(_) => Ok(()),
    }
}

fn fill_polygon<B: DrawingBackend>(backend: &mut B, points: &[Point], fill: RGBColor, opacity: f64) -> Drawn {
    let colour = fill.mix(opacity);
    if let Some(rect) = as_rect(points) {
        let (left, top) = device((rect.left, rect.top));
        let (right, bottom) = device((rect.right, rect.bottom));
        if right > left && bottom > top {
            backend.draw_rect((left, top), (right, bottom), &colour, true).map_err(|e| e.to_string())?;
        }
        return Ok(());
    }
    // Here it counts both ends in: half a pixel back on each side keeps the size.
    let half = 0.5 / DRAWN as f64;
    let corners = points.iter().map(|(x, y)| device((x - half, y - half)));
    backend.fill_polygon(corners, &colour).map_err(|e| e.to_string())
}

/// The rectangle that `points` are the corners of.
fn as_rect(points: &[Point]) -> Option<Rect> {
    let [a, b, c, d] = points else { return None };
    let upright = a.1 == b.1 && b.0 == c.0 && c.1 == d.1 && d.0 == a.0;
    let (left, right) = (a.0.min(b.0), a.0.max(b.0));
    let (top, bottom) = (a.1.min(c.1), a.1.max(c.1));
    upright.then(|| Rect::new(left, top, right, bottom))
}

/// Each piece of the line is a rectangle, each inner point a disc: a line of one opaque colour with round joins.
fn draw_line<B: DrawingBackend>(
    backend: &mut B,
    points: &[Point],
    stroke: &Stroke,
    colour: RGBColor,
) -> Drawn {
    let half = stroke.width / 2.0;
    for run in dashes(points, stroke.dash) {
        for pair in run.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let length = (b.0 - a.0).hypot(b.1 - a.1);
            if length == 0.0 {
                continue;
            }
            let (nx, ny) = (-(b.1 - a.1) / length * half, (b.0 - a.0) / length * half);
            let corners =
                [(a.0 + nx, a.1 + ny), (b.0 + nx, b.1 + ny), (b.0 - nx, b.1 - ny), (a.0 - nx, a.1 - ny)];
            fill_polygon(backend, &corners, colour, 1.0)?;
        }
        for joint in run.iter().skip(1).take(run.len().saturating_sub(2)) {
            fill_polygon(backend, &ring(*joint, half), colour, 1.0)?;
        }
    }
    Ok(())
}

/// The drawn runs of a line: the line itself, or its dashes.
fn dashes(points: &[Point], dash: Option<[f64; 2]>) -> Vec<Vec<Point>> {
    let Some([on, off]) = dash.filter(|[on, off]| *on > 0.0 && *off > 0.0) else {
        return vec![points.to_vec()];
    };
    let mut runs = Vec::new();
    let (mut drawing, mut left) = (true, on);
    let mut run = vec![points[0]];
    for pair in points.windows(2) {
        let (mut a, b) = (pair[0], pair[1]);
        loop {
            let length = (b.0 - a.0).hypot(b.1 - a.1);
            if length <= left {
                left -= length;
                run.push(b);
                break;
            }
            let t = left / length;
            a = (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
            run.push(a);
            if drawing {
                runs.push(std::mem::take(&mut run));
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
            run = vec![a];
        }
    }
    if drawing && run.len() > 1 {
        runs.push(run);
    }
    runs
}

/// A circle as a polygon, fine enough for its size.
fn ring((cx, cy): Point, radius: f64) -> Vec<Point> {
    let corners = (radius * 8.0).clamp(8.0, 64.0) as usize;
    (0..corners)
        .map(|k| {
            let (sin, cos) = (std::f64::consts::TAU * k as f64 / corners as f64).sin_cos();
            (cx + radius * cos, cy + radius * sin)
        })
        .collect()
}

/// Blends a text into the kept pixels.
fn write(pixels: &mut [u8], columns: usize, text: &Text, scheme: Scheme) {
    let font = font::face(text.weight);
    let em = f64::from(font.units_per_em().unwrap_or(2048.0));
    let size = text.size * KEPT as f64;
    // A PxScale is the height from the ascent to the descent, not the em.
    let scale = PxScale::from((size * f64::from(font.height_unscaled()) / em) as f32);
    let (left, baseline) = (text.left() * KEPT as f64, text.y * KEPT as f64);
    let colour = scheme(text.colour);
    let mut start = 0;
    for (end, c) in text.content.char_indices().map(|(at, c)| (at + c.len_utf8(), c)) {
        let advance = font::width(&text.content[..end], size, text.weight);
        let x = left + advance - font::width(&text.content[start..end], size, text.weight);
        start = end;
        let position = point(x as f32, baseline as f32);
        let glyph = Glyph { id: font.glyph_id(c), scale, position };
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        outline.draw(|dx, dy, coverage| {
            let (x, y) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
            let at = (y * columns + x) * 3;
            if x < columns && at + 3 <= pixels.len() {
                blend(&mut pixels[at..at + 3], colour, coverage);
            }
        });
    }
}

fn blend(pixel: &mut [u8], (r, g, b): (u8, u8, u8), coverage: f32) {
    let share = coverage.clamp(0.0, 1.0);
    for (value, front) in pixel.iter_mut().zip([r, g, b]) {
        *value = (f32::from(*value) * (1.0 - share) + f32::from(front) * share).round() as u8;
    }
}

fn device((x, y): Point) -> (i32, i32) {
    // Even positions fall on whole pixels of the PNG; the cast saturates.
    ((x * DRAWN as f64).round() as i32, (y * DRAWN as f64).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::form::Form;

    fn decode(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn a_rectangle_lands_on_its_pixels_at_double_size() {
        let mut scene = Scene::new(Form::Wide, 520.0);
        scene.rect(Rect::new(10.0, 20.0, 30.0, 40.0), Colour::Ink, 1.0);
        let (width, height, pixels) = decode(&print(&scene, Colour::light).unwrap());
        assert_eq!((width, height), (1800, 1040));
        let at = |x: usize, y: usize| pixels[(y * 1800 + x) * 3];
        let ink = Colour::Ink.light().0;
        assert_eq!([at(20, 40), at(59, 79), at(19, 40), at(60, 79)], [ink, ink, 255, 255]);
    }

    #[test]
    fn text_fills_its_box_and_nothing_outside() {
        let mut scene = Scene::new(Form::Wide, 520.0);
        let text = Text::new("Mixed work-stealing", (100.0, 100.0), 16.0).colour(Colour::Ink);
        let bounds = text.bounds();
        scene.text(text);
        let (width, _, pixels) = decode(&print(&scene, Colour::light).unwrap());
        let mut painted = 0;
        for (i, pixel) in pixels.chunks_exact(3).enumerate() {
            let (x, y) = ((i % width as usize) as f64 / 2.0, (i / width as usize) as f64 / 2.0);
            if pixel != [255, 255, 255] {
                painted += 1;
                assert!(bounds.inset(-1.0).contains(&Rect::new(x, y, x, y)), "{x},{y}");
            }
        }
        assert!(painted > 500, "{painted}");
    }

    #[test]
    fn dashes_cover_their_share_of_the_line() {
        let runs = dashes(&[(0.0, 0.0), (60.0, 0.0), (60.0, 60.0)], Some([6.0, 4.0]));
        let length: f64 =
            runs.iter().flat_map(|r| r.windows(2)).map(|p| (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1)).sum();
        assert!((length - 72.0).abs() < 1e-9, "{length}");
        assert_eq!(runs.len(), 12);
    }
}
