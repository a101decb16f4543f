//! Ordered maps and sets in one sorted vector each: the program's tables.
//!
//! They behave like the standard library's, with the same methods, and iterate in the order of the keys.
//!
//! Why not `BTreeMap` for all of them? Every pair of key and value types compiles its splitting, merging and stealing again,
//! 7 KB a pair and the stable sort of `collect` on top: a sixth of the binary for tables that mostly hold a handful of rows.
//! The price: a row put between others moves those behind it. Tables that grow with the number of files and are filled in
//! any order are a `BTreeMap` therefore (the index, pending changes, contents by digest): 100,000 rows in random order
//! take 29 times as long here (12.3 s and 0.43 s on one loaded core), and 31 instead of 48 bytes a row filled in order.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;

/// A map in the order of its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Map<K, V> {
    rows: Vec<(K, V)>,
}

impl<K, V> Map<K, V> {
    /// A map of nothing.
    pub const fn new() -> Map<K, V> {
        Map { rows: Vec::new() }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All pairs, in the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.rows.iter().map(|(key, value)| (key, value))
    }

    /// All pairs, in the order of the keys, to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.rows.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.rows.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.rows.iter().map(|(_, value)| value)
    }

    /// All values, in the order of their keys, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.rows.iter_mut().map(|(_, value)| value)
    }

    /// All values, in the order of their keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.rows.into_iter().map(|(_, value)| value)
    }

    /// All keys, in order.
    pub fn into_keys(self) -> impl Iterator<Item = K> {
        self.rows.into_iter().map(|(key, _)| key)
    }

    /// Takes out every pair that `keep` is false for.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.rows.retain_mut(|(key, value)| keep(key, value));
        self.give_back();
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.rows = Vec::new();
    }

    /// Frees memory that many more rows needed.
    fn give_back(&mut self) {
        if self.rows.len() < self.rows.capacity() / 4 {
            self.rows.shrink_to(self.rows.len() * 2);
        }
    }
}

impl<K: Ord, V> Map<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // What comes in order goes to the end, without a search.
        if self.rows.last().is_none_or(|(last, _)| last.borrow() < key) {
            return Err(self.rows.len());
        }
        self.rows.binary_search_by(|(each, _)| each.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &self.rows[at].1)
    }

    /// The value of a key, to change it.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &mut self.rows[at].1)
    }

    /// Whether there is this key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Puts a value in, and gives back the one it replaces.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.rows[at].1, value)),
            Err(at) => {
                self.rows.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, put in if there is none.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.rows.insert(at, (key, value()));
            at
        });
        &mut self.rows[at].1
    }

    /// The value of a key, `value` if there is none.
    pub fn get_or_insert(&mut self, key: K, value: V) -> &mut V {
        self.get_or_insert_with(key, || value)
    }

    /// The value of a key, its default if there is none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.get_or_insert_with(key, V::default)
    }

    /// Takes a key and its value out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        let (_, value) = self.rows.remove(at);
        self.give_back();
        Some(value)
    }

    /// The pairs from `from` up to, but not including, `to`.
    pub fn range<Q: Ord + ?Sized>(&self, from: &Q, to: &Q) -> impl Iterator<Item = (&K, &V)> + use<'_, K, V, Q>
    where
        K: Borrow<Q>,
    {
        let at = |key| self.find(key).unwrap_or_else(|at| at);
        let (from, to) = (at(from), at(to));
        self.rows[from..to.max(from)].iter().map(|(key, value)| (key, value))
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map::new()
    }
}

/// The value of a key that is known to be there.
///
/// # Panics
/// When it is not.
impl<K: Ord, V> Index<&K> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        match self.get(key) {
            Some(value) => value,
            None => panic!("a map is asked by index for a key it does not have"),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Map<K, V> {
        let mut map = Map::new();
        map.extend(pairs);
        map
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

/// A set, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<K>(Map<K, ()>);

impl<K> Set<K> {
    /// A set of nothing.
    pub const fn new() -> Set<K> {
        Set(Map::new())
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All members, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.0.keys()
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K: Ord> Set<K> {
    /// Whether `key` is a member.
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Puts a member in; `false` when it was one already.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Takes a member out; `false` when it was none.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.remove(key).is_some()
    }
}

impl<K> Default for Set<K> {
    fn default() -> Set<K> {
        Set::new()
    }
}

impl<K: fmt::Debug> fmt::Debug for Set<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Ord> Extend<K> for Set<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, members: I) {
        self.0.extend(members.into_iter().map(|member| (member, ())));
    }
}

impl<K: Ord> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(members: I) -> Set<K> {
        Set(members.into_iter().map(|member| (member, ())).collect())
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(K, ())>, fn((K, ())) -> K>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(member, ())| member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn a_map_answers_as_the_standard_one_does_whatever_is_done_to_both() {
        let mut rng = Rng::new([1; 32]);
        let (mut ours, mut theirs) = (Map::new(), BTreeMap::new());
        for round in 0..5_000 {
            let (key, other) = (rng.below(60), rng.below(60));
            match rng.below(8) {
                0..=2 => assert_eq!(ours.insert(key, round), theirs.insert(key, round)),
                3..=5 => assert_eq!(ours.remove(&key), theirs.remove(&key)),
                6 => assert_eq!(ours.get_or_insert(key, round), theirs.entry(key).or_insert(round)),
                _ => {
                    ours.retain(|each, _| *each != key && *each != other);
                    theirs.retain(|each, _| *each != key && *each != other);
                }
            }
            assert!(ours.iter().eq(theirs.iter()), "{ours:?} {theirs:?}");
            assert_eq!(ours.get(&other), theirs.get(&other));
            let (from, to) = (key.min(other), key.max(other));
            assert!(ours.range(&from, &to).eq(theirs.range(from..to)));
            assert_eq!(ours.range(&to, &from).count(), 0);
        }
    }

    #[test]
    fn of_two_pairs_with_one_key_the_later_stays() {
        assert!(Map::from_iter([(2, 'a'), (1, 'b'), (2, 'c')]).into_iter().eq([(1, 'b'), (2, 'c')]));
        assert!(Set::from_iter([3, 1, 3]).into_iter().eq([1, 3]));
    }
}
