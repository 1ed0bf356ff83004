//! Measures the product against anchors in the same run and prints ratios.

fn main() {}
