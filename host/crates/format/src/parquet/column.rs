//! The values of one column of a row group, gathered until it is written.

use bytes::Bytes;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use parquet::file::writer::SerializedColumnWriter;

use super::super::{
    decimal::Unscaled,
    geometry,
    temporal::{self, Read, Unit},
};
use sluicegate_model::change::{Column, Values};

/// Values that are handed to the writer at a time.
const CHUNK: usize = 4096;
/// What says of a row whether it has a value, and where a text ends.
pub(super) const LEVEL_BYTES: usize = 2;
pub(super) const END_BYTES: usize = 8;

/// How the values of a column become those of Parquet.
#[derive(Clone, Copy)]
pub(super) enum Cast {
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
    /// Text or bytes as they are.
    Text,
    Days,
    Time(Unit),
    /// A date and time, or an instant, as a number since 1970.
    SinceEpoch(Unit),
    /// Decimals of so many places, by the digits that they have at most.
    Decimal32(usize),
    Decimal64(usize),
    /// The same in so many bytes.
    Decimal {
        scale: usize,
        length: usize,
    },
    Ewkb,
}

/// What became of a value.
enum Taken {
    Value,
    /// A date that no calendar has.
    Null,
    /// It does not fit.
    Misfit,
}

/// Texts one after the other.
#[derive(Default)]
pub(super) struct Texts {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &[u8]) {
        self.data.extend_from_slice(text);
        self.ends.push(self.data.len());
    }

    fn pop(&mut self) {
        self.ends.pop();
        self.data.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// All of them, which are then forgotten.
    pub(super) fn take_all(&mut self) -> Vec<ByteArray> {
        self.take().map(ByteArray::from).collect()
    }

    fn take(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        let Self { data, ends } = std::mem::take(self);
        let data = Bytes::from(data);
        let mut start = 0;
        ends.into_iter().map(move |end| data.slice(std::mem::replace(&mut start, end)..end))
    }
}

enum Data {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Texts),
    Fixed(Texts),
}

/// A column.
pub(super) struct Gathered {
    cast: Cast,
    data: Data,
    /// For each row whether it has a value: 1 or 0.
    levels: Vec<i16>,
}

impl Gathered {
    pub(super) fn new(cast: Cast) -> Self {
        let data = match cast {
            Cast::Boolean => Data::Boolean(Vec::new()),
            Cast::Int32 | Cast::Days | Cast::Decimal32(_) => Data::Int32(Vec::new()),
            Cast::Int64 | Cast::Time(_) | Cast::SinceEpoch(_) | Cast::Decimal64(_) => Data::Int64(Vec::new()),
            Cast::Float => Data::Float(Vec::new()),
            Cast::Double => Data::Double(Vec::new()),
            Cast::Text | Cast::Ewkb => Data::Bytes(Texts::default()),
            Cast::Decimal { .. } => Data::Fixed(Texts::default()),
        };
        Self { cast, data, levels: Vec::new() }
    }

    /// Bytes of a value in memory, without its text.
    fn width(&self) -> usize {
        match &self.data {
            Data::Boolean(_) => 1,
            Data::Int32(_) | Data::Float(_) => 4,
            Data::Int64(_) | Data::Double(_) => 8,
            Data::Bytes(_) | Data::Fixed(_) => END_BYTES,
        }
    }

    fn text_bytes(&self) -> usize {
        match &self.data {
            Data::Bytes(texts) | Data::Fixed(texts) => texts.data.len(),
            _ => 0,
        }
    }

    /// Appends what row `row` holds. Answers how many bytes of memory it takes; `None`, and appends nothing, when it does not fit.
    #[inline]
    pub(super) fn push(&mut self, column: &Column, row: usize) -> Option<usize> {
        let before = self.text_bytes();
        let taken = if column.nulls.get(row) { Taken::Null } else { self.take(&column.values, row).unwrap_or(Taken::Misfit) };
        match taken {
            Taken::Misfit => None,
            Taken::Value => {
                self.levels.push(1);
                Some(LEVEL_BYTES + self.width() + self.text_bytes() - before)
            }
            Taken::Null => Some(self.push_null()),
        }
    }

    /// Appends a null, and answers how many bytes it takes.
    pub(super) fn push_null(&mut self) -> usize {
        self.levels.push(0);
        LEVEL_BYTES
    }

    fn take(&mut self, values: &Values, row: usize) -> Option<Taken> {
        match (self.cast, &mut self.data, values) {
            (Cast::Text, Data::Bytes(to), Values::Text(text) | Values::Bytes(text)) => to.push(text.get(row)),
            (Cast::Int64, Data::Int64(to), Values::Int64(v)) => to.push(v[row]),
            (Cast::Int64, Data::Int64(to), Values::UInt64(v)) => to.push(v[row] as i64),
            (Cast::Int32, Data::Int32(to), Values::Int64(v)) => to.push(i32::try_from(v[row]).ok()?),
            (Cast::Int32, Data::Int32(to), Values::UInt64(v)) => to.push(u32::try_from(v[row]).ok()? as i32),
            (Cast::Boolean, Data::Boolean(to), Values::Boolean(v)) => to.push(v[row] != 0),
            (Cast::Float, Data::Float(to), Values::Float32(v)) => to.push(v[row]),
            (Cast::Double, Data::Double(to), Values::Float64(v)) => to.push(v[row]),
            (Cast::Ewkb, Data::Bytes(to), Values::Bytes(bytes)) => {
                let (srid, wkb) = geometry::parts(bytes.get(row))?;
                let mut ewkb = Vec::with_capacity(wkb.len() + 4);
                geometry::ewkb(srid, wkb, &mut ewkb)?;
                to.push(&ewkb);
            }
            (cast, data, Values::Text(text)) => return parsed(cast, data, text.get(row)),
            _ => return None,
        }
        Some(Taken::Value)
    }

    /// Forgets what came behind so many rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        while self.levels.len() > rows {
            if self.levels.pop() == Some(1) {
                match &mut self.data {
                    Data::Boolean(v) => drop(v.pop()),
                    Data::Int32(v) => drop(v.pop()),
                    Data::Int64(v) => drop(v.pop()),
                    Data::Float(v) => drop(v.pop()),
                    Data::Double(v) => drop(v.pop()),
                    Data::Bytes(texts) | Data::Fixed(texts) => texts.pop(),
                }
            }
        }
    }

    /// Writes the column, and forgets it.
    pub(super) fn write(&mut self, to: &mut SerializedColumnWriter<'_>) -> parquet::errors::Result<()> {
        let levels = std::mem::take(&mut self.levels);
        match &mut self.data {
            Data::Boolean(v) => to.typed::<BoolType>().write_batch(&std::mem::take(v), Some(&levels), None).map(drop),
            Data::Int32(v) => to.typed::<Int32Type>().write_batch(&std::mem::take(v), Some(&levels), None).map(drop),
            Data::Int64(v) => to.typed::<Int64Type>().write_batch(&std::mem::take(v), Some(&levels), None).map(drop),
            Data::Float(v) => to.typed::<FloatType>().write_batch(&std::mem::take(v), Some(&levels), None).map(drop),
            Data::Double(v) => to.typed::<DoubleType>().write_batch(&std::mem::take(v), Some(&levels), None).map(drop),
            Data::Bytes(texts) => texts_of(texts, to, Some(&levels)),
            Data::Fixed(texts) => {
                let values: Vec<FixedLenByteArray> = texts.take().map(|bytes| ByteArray::from(bytes).into()).collect();
                to.typed::<FixedLenByteArrayType>().write_batch(&values, Some(&levels), None).map(drop)
            }
        }
    }
}

/// Writes texts, those of rows that have one.
pub(super) fn texts_of(texts: &mut Texts, to: &mut SerializedColumnWriter<'_>, levels: Option<&[i16]>) -> parquet::errors::Result<()> {
    let mut values = texts.take().map(ByteArray::from);
    let to = to.typed::<ByteArrayType>();
    let Some(levels) = levels else {
        let all: Vec<ByteArray> = values.collect();
        return to.write_batch(&all, None, None).map(drop);
    };
    for levels in levels.chunks(CHUNK) {
        let count = levels.iter().filter(|level| **level == 1).count();
        let chunk: Vec<ByteArray> = values.by_ref().take(count).collect();
        to.write_batch(&chunk, Some(levels), None)?;
    }
    Ok(())
}

/// A value that travels as text.
fn parsed(cast: Cast, data: &mut Data, text: &[u8]) -> Option<Taken> {
    match (cast, data) {
        (Cast::Days, Data::Int32(to)) => match temporal::date(text) {
            Read::Value(days) => to.push(i32::try_from(days).ok()?),
            Read::NoDate => return Some(Taken::Null),
            Read::Bad => return None,
        },
        (Cast::SinceEpoch(unit), Data::Int64(to)) => match temporal::datetime(text) {
            Read::Value((days, nanos)) => to.push(temporal::since_epoch(days, nanos, unit)?),
            Read::NoDate => return Some(Taken::Null),
            Read::Bad => return None,
        },
        (Cast::Time(unit), Data::Int64(to)) => to.push(temporal::time(text)? / unit.nanos()),
        (Cast::Decimal32(scale), Data::Int32(to)) => {
            to.push(i32::from_be_bytes(extended(Unscaled::parse(text, scale)?.bytes())?));
        }
        (Cast::Decimal64(scale), Data::Int64(to)) => {
            to.push(i64::from_be_bytes(extended(Unscaled::parse(text, scale)?.bytes())?));
        }
        (Cast::Decimal { scale, length }, Data::Fixed(to)) => {
            let wide: [u8; 32] = extended(Unscaled::parse(text, scale)?.bytes())?;
            let (lead, rest) = wide.split_at(wide.len().checked_sub(length)?);
            let filler = if rest.first()? & 0x80 != 0 { 0xff } else { 0 };
            lead.iter().all(|byte| *byte == filler).then_some(())?;
            to.push(rest);
        }
        _ => return None,
    }
    Some(Taken::Value)
}

/// The bytes of a number with its sign in front, as so many.
fn extended<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let filler = if bytes.first()? & 0x80 != 0 { 0xff } else { 0 };
    let mut wide = [filler; N];
    wide.get_mut(N.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(wide)
}
