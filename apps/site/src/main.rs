//! `sluis-site`: the site of an appliance.

fn main() -> anyhow::Result<()> {
    sluis_site::main()
}
