//! Geometries: the server's bytes (SRID and WKB) in other forms.
//!
//! Coordinates keep the order in which the server stores them: longitude first, also where the spatial reference system says latitude
//! first. That is the order of GeoJSON.

use sluicegate_model::limits::GEOMETRY_DEPTH;

/// The SRID and the WKB of a value.
pub(super) fn parts(value: &[u8]) -> Option<(u32, &[u8])> {
    let (srid, wkb) = value.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*srid), wkb))
}

/// Appends EWKB, which is WKB with the SRID behind the type; without one where it is 0.
pub(super) fn ewkb(srid: u32, wkb: &[u8], out: &mut Vec<u8>) -> Option<()> {
    const HAS_SRID: u32 = 0x2000_0000;
    if srid == 0 {
        out.extend_from_slice(wkb);
        return Some(());
    }
    let (order, rest) = wkb.split_first()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    out.push(*order);
    let bytes = |number: u32| if *order == 0 { number.to_be_bytes() } else { number.to_le_bytes() };
    let kind = if *order == 0 { u32::from_be_bytes(*kind) } else { u32::from_le_bytes(*kind) };
    out.extend_from_slice(&bytes(kind | HAS_SRID));
    out.extend_from_slice(&bytes(srid));
    out.extend_from_slice(rest);
    Some(())
}

/// What is written of a WKB.
#[derive(Clone, Copy, PartialEq)]
enum Syntax {
    GeoJson,
    Wkt,
}

/// Appends a GeoJSON object. `None`: it is no WKB; then something may have been appended.
pub(super) fn geojson(wkb: &[u8], out: &mut Vec<u8>) -> Option<()> {
    whole(wkb, Syntax::GeoJson, out)
}

/// Appends well-known text, as the JTS library writes it: `POINT (1 2)`. `None`: as above.
pub(super) fn wkt(wkb: &[u8], out: &mut Vec<u8>) -> Option<()> {
    whole(wkb, Syntax::Wkt, out)
}

fn whole(wkb: &[u8], syntax: Syntax, out: &mut Vec<u8>) -> Option<()> {
    let mut reader = Wkb { rest: wkb, big: false };
    reader.geometry(syntax, GEOMETRY_DEPTH, out)?;
    reader.rest.is_empty().then_some(())
}

/// WKB that is read.
struct Wkb<'a> {
    rest: &'a [u8],
    /// Whether numbers have their most significant byte first.
    big: bool,
}

/// The kinds, from 1: names in GeoJSON and in text, how deep lists stand around points, and what the members of a collection are.
const KINDS: [(&str, &str, u8); 7] = [
    ("Point", "POINT", 0),
    ("LineString", "LINESTRING", 1),
    ("Polygon", "POLYGON", 2),
    ("MultiPoint", "MULTIPOINT", 1),
    ("MultiLineString", "MULTILINESTRING", 2),
    ("MultiPolygon", "MULTIPOLYGON", 3),
    ("GeometryCollection", "GEOMETRYCOLLECTION", 0),
];

impl Wkb<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(if self.big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
    }

    fn f64(&mut self) -> Option<f64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        let bits = if self.big { u64::from_be_bytes(*bytes) } else { u64::from_le_bytes(*bytes) };
        Some(f64::from_bits(bits)).filter(|number| number.is_finite())
    }

    /// Byte order and kind.
    fn head(&mut self) -> Option<u32> {
        let (order, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.big = match order {
            0 => true,
            1 => false,
            _ => return None,
        };
        self.u32()
    }

    fn geometry(&mut self, syntax: Syntax, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let kind = self.head()?;
        let (json, text, _) = KINDS.get((kind as usize).checked_sub(1)?)?;
        match syntax {
            Syntax::GeoJson => {
                out.extend_from_slice(b"{\"type\":\"");
                out.extend_from_slice(json.as_bytes());
                out.extend_from_slice(if kind == 7 { b"\",\"geometries\":" } else { b"\",\"coordinates\":" });
            }
            Syntax::Wkt => {
                out.extend_from_slice(text.as_bytes());
                out.push(b' ');
            }
        }
        match kind {
            1 if syntax == Syntax::Wkt => {
                out.push(b'(');
                self.point(syntax, out)?;
                out.push(b')');
            }
            1 => self.point(syntax, out)?,
            2 => self.list(syntax, out, |wkb, out| wkb.point(syntax, out))?,
            3 => self.list(syntax, out, |wkb, out| wkb.list(syntax, out, |wkb, out| wkb.point(syntax, out)))?,
            4 => self.list(syntax, out, |wkb, out| {
                (wkb.head()? == 1).then_some(())?;
                let around = syntax == Syntax::Wkt;
                if around {
                    out.push(b'(');
                }
                wkb.point(syntax, out)?;
                if around {
                    out.push(b')');
                }
                Some(())
            })?,
            5 => self.list(syntax, out, |wkb, out| {
                (wkb.head()? == 2).then_some(())?;
                wkb.list(syntax, out, |wkb, out| wkb.point(syntax, out))
            })?,
            6 => self.list(syntax, out, |wkb, out| {
                (wkb.head()? == 3).then_some(())?;
                wkb.list(syntax, out, |wkb, out| wkb.list(syntax, out, |wkb, out| wkb.point(syntax, out)))
            })?,
            _ => self.list(syntax, out, |wkb, out| wkb.geometry(syntax, depth, out))?,
        }
        if syntax == Syntax::GeoJson {
            out.push(b'}');
        }
        Some(())
    }

    /// A number of elements, and the elements.
    fn list(&mut self, syntax: Syntax, out: &mut Vec<u8>, mut element: impl FnMut(&mut Self, &mut Vec<u8>) -> Option<()>) -> Option<()> {
        let count = self.u32()?;
        if count == 0 && syntax == Syntax::Wkt {
            out.extend_from_slice(b"EMPTY");
            return Some(());
        }
        out.push(if syntax == Syntax::GeoJson { b'[' } else { b'(' });
        for i in 0..count {
            if i > 0 {
                out.extend_from_slice(if syntax == Syntax::GeoJson { b"," } else { b", " });
            }
            element(self, out)?;
        }
        out.push(if syntax == Syntax::GeoJson { b']' } else { b')' });
        Some(())
    }

    fn point(&mut self, syntax: Syntax, out: &mut Vec<u8>) -> Option<()> {
        let (x, y) = (self.f64()?, self.f64()?);
        if syntax == Syntax::GeoJson {
            out.push(b'[');
        }
        coordinate(x, out);
        out.push(if syntax == Syntax::GeoJson { b',' } else { b' ' });
        coordinate(y, out);
        if syntax == Syntax::GeoJson {
            out.push(b']');
        }
        Some(())
    }
}

/// A number without `.0` behind it.
fn coordinate(value: f64, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Vec<u8> {
        [&[1u8, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
    }

    fn list(kind: u8, members: &[Vec<u8>]) -> Vec<u8> {
        [&[1u8, kind, 0, 0, 0][..], &(members.len() as u32).to_le_bytes(), &members.concat()].concat()
    }

    fn written(write: impl Fn(&[u8], &mut Vec<u8>) -> Option<()>, wkb: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        write(wkb, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_kind_has_its_geojson_and_its_text() {
        let bare = |x: f64, y: f64| [x.to_le_bytes(), y.to_le_bytes()].concat();
        let ring = [&3u32.to_le_bytes()[..], &bare(0.0, 0.0), &bare(1.5, 0.0), &bare(0.0, -1.0)].concat();
        let line = list(2, &[bare(0.0, 0.0), bare(1.0, 1.0)]);
        let polygon = list(3, &[ring]);
        for (wkb, json, text) in [
            (point(1.0, 2.5), r#"{"type":"Point","coordinates":[1,2.5]}"#, "POINT (1 2.5)"),
            (line.clone(), r#"{"type":"LineString","coordinates":[[0,0],[1,1]]}"#, "LINESTRING (0 0, 1 1)"),
            (polygon.clone(), r#"{"type":"Polygon","coordinates":[[[0,0],[1.5,0],[0,-1]]]}"#, "POLYGON ((0 0, 1.5 0, 0 -1))"),
            (
                list(4, &[point(1.0, 2.0), point(3.0, 4.0)]),
                r#"{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}"#,
                "MULTIPOINT ((1 2), (3 4))",
            ),
            (list(5, &[line]), r#"{"type":"MultiLineString","coordinates":[[[0,0],[1,1]]]}"#, "MULTILINESTRING ((0 0, 1 1))"),
            (
                list(6, &[polygon]),
                r#"{"type":"MultiPolygon","coordinates":[[[[0,0],[1.5,0],[0,-1]]]]}"#,
                "MULTIPOLYGON (((0 0, 1.5 0, 0 -1)))",
            ),
            (
                list(7, &[point(1.0, 2.0), list(7, &[])]),
                r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},{"type":"GeometryCollection","geometries":[]}]}"#,
                "GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION EMPTY)",
            ),
        ] {
            assert_eq!(written(geojson, &wkb).as_deref(), Some(json));
            assert_eq!(written(wkt, &wkb).as_deref(), Some(text));
            for cut in 0..wkb.len() {
                assert_eq!(written(geojson, &wkb[..cut]), None, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn collections_that_are_nested_too_deep_are_refused() {
        let nested = |depth: usize| (1..depth).fold(list(7, &[]), |inner, _| list(7, &[inner]));
        assert!(written(geojson, &nested(GEOMETRY_DEPTH)).is_some());
        assert_eq!(written(geojson, &nested(GEOMETRY_DEPTH + 1)), None);
    }

    #[test]
    fn the_srid_stands_behind_the_type() {
        let with = |srid, wkb: &[u8]| {
            let mut out = Vec::new();
            ewkb(srid, wkb, &mut out)?;
            Some(out)
        };
        let wkb = point(1.0, 2.0);
        assert_eq!(with(0, &wkb).unwrap(), wkb);
        let expected = [&[1u8, 1, 0, 0, 0x20][..], &4326u32.to_le_bytes(), &wkb[5..]].concat();
        assert_eq!(with(4326, &wkb).unwrap(), expected);
        assert_eq!(parts(&[&4326u32.to_le_bytes()[..], &wkb].concat()), Some((4326, &wkb[..])));
    }
}
