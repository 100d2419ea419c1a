//! Plugins in WebAssembly text: for what no compiler would make.
#![allow(clippy::panic, clippy::expect_used, reason = "for tests")]

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::repository;

/// A plugin whose functions are given as text. What is left empty answers nothing of note: an empty description, a
/// configuration taken, a table left as it is.
#[derive(Clone, Debug, Default)]
pub struct Handmade {
    /// Further fields of the module: a start function, say, or imports of `sluicegate:plugin/clock@1.0.0`.
    pub fields: &'static str,
    /// Body of `describe`. Bodies leave the address of their answer; zeros stand at 1024.
    pub describe: &'static str,
    /// Body of `configure`.
    pub configure: &'static str,
    /// Body of `plan`. At 2048 stands a plan for the table `shop.orders`, without columns, that filters.
    pub plan: &'static str,
    /// Body of `apply`.
    pub apply: &'static str,
    /// Version of the interface that it says it is built for; empty = the one in `wit`.
    pub version: &'static str,
}

/// The plan at 2048: `ok(some({ delivers: shop.orders without columns, operations: all, filters: true }))`, as the component
/// model's canonical ABI lays it out (bytes in the order of `plugin.wit`'s records; strings and lists are address and length).
const PLAN: &str = concat!(
    r#"(data (i32.const 2048) "\00\00\00\00\01\00\00\00\f0\0b\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\f4\0b\00\00\06\00\00\00")"#,
    // destination: none; columns, origins: empty; operations; reads: empty; context, filters
    r#"(data (i32.const 2112) "\1f\00\00\00\00\00\00\00\00\00\00\00\00\01")"#,
    r#"(data (i32.const 3056) "shoporders")"#,
);

impl Handmade {
    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let body = |text: &'static str| if text.is_empty() { "i32.const 1024" } else { text };
        let version = if self.version.is_empty() { "1.0.0" } else { self.version };
        let text = format!(
            r#"(module {fields}
                (memory (export "memory") 1)
                (global $top (mut i32) (i32.const 4096))
                {PLAN}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and
                        (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
                        (i32.sub (i32.const 0) (local.get 2))))
                    (global.set $top (i32.add (local.get $at) (local.get 3)))
                    (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
                        (then (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1))))))
                    (local.get $at))
                (func (export "sluicegate:plugin/transform@{version}#describe") (result i32) {describe})
                (func (export "sluicegate:plugin/transform@{version}#configure") (param i32 i32) (result i32) {configure})
                (func (export "sluicegate:plugin/transform@{version}#plan")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {plan})
                (func (export "sluicegate:plugin/transform@{version}#apply")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {apply}))"#,
            fields = self.fields,
            describe = body(self.describe),
            configure = body(self.configure),
            plan = body(self.plan),
            apply = body(self.apply),
        );
        let path = repository().join("wit/plugin.wit");
        let wit = std::fs::read_to_string(&path).expect("wit/plugin.wit can be read").replace("@1.0.0;", &format!("@{version};"));
        component(&text, &wit, "granted-plugin")
    }
}

/// A component of the core module `text` for a world of `wit`.
pub fn component(text: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", wit).unwrap_or_else(|error| panic!("{error:?}"));
    let world = resolve.select_world(&[package], Some(world)).unwrap_or_else(|error| panic!("{error:?}"));
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap_or_else(|error| panic!("{error:?}"));
    let encoded = ComponentEncoder::default().validate(true).module(&module).and_then(|mut encoder| encoder.encode());
    encoded.unwrap_or_else(|error| panic!("{error:?}"))
}

/// The binary of a component in text.
pub fn component_text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// `component` with a section behind its own.
pub fn with_section(mut component: Vec<u8>, id: u8, content: &[u8]) -> Vec<u8> {
    component.push(id);
    component.extend(leb(content.len()));
    component.extend(content);
    component
}

/// An unsigned number as WebAssembly writes it.
pub fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}
