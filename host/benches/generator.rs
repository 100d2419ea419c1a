//! What a generated change costs, so that nobody takes the generator's own cost for the pipeline's.
//!
//! Cost model: a change is 1.45 row images; an image of `orders` is 8 values with about 110 bytes of text, made from two
//! to four hashes (2 ns each), six numbers to print (5 ns each) and twelve short copies (3 ns each), so about 80 ns; an
//! image of the other tables about half of that. `copy` moves as many bytes: the limit of any source that makes columns.
//!
//! Run with `cargo bench --bench generator`. Times are of this thread's CPU, the best of several rounds.

mod clock;

use std::hint::black_box;

const CHANGES: u64 = 500_000;

fn main() {
    let (mut images, mut bytes) = (0, 0);
    clock::generate(CHANGES, |batch| {
        images += batch.tables.iter().map(|rows| rows.len()).sum::<usize>();
        bytes += batch.bytes;
    });
    let generate = clock::best(CHANGES as usize, || clock::generate(CHANGES, |batch| drop(black_box(batch))));
    let (source, mut target) = (vec![1u8; 1 << 17], Vec::new());
    let copy = clock::best(CHANGES as usize, || {
        for _ in 0..bytes / source.len() {
            target.clear();
            target.extend_from_slice(black_box(&source));
            black_box(&target);
        }
    });
    let each = |n: usize| n as f64 / CHANGES as f64;
    println!("{CHANGES} changes, {:.2} row images and {:.0} bytes of column data each", each(images), each(bytes));
    println!(
        "generate {generate:.1} ns a change ({:.0} changes a CPU-second), copy {copy:.1} ns, ratio {:.1}x",
        1e9 / generate,
        generate / copy
    );
}
