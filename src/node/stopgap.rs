use crate::fs::Fs;
use crate::node::*;
impl<F: Fs> Node<F> {
    pub fn reconfigure(
        &mut self,
        _now: Now,
        _settings: Settings,
        _identity: Identity,
        _reserved: BTreeMap<ShareName, Vec<Reserved>>,
    ) {
    }
    pub fn summary(&self) -> api::Tree {
        api::Tree::map()
    }
}
