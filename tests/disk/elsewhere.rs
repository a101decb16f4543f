//! Every claim about a real disk again, on other grounds.

use crate::alone;
use crate::ground::{GROUND, KERNEL};

#[test]
fn every_promise_is_kept_on_a_tmpfs() {
    again(&[(GROUND, "tmpfs")]);
}

/// Every OpenWrt router runs on one: the files of the image are in the lower layer, on a filesystem of its own.
#[test]
fn every_promise_is_kept_on_an_overlay_of_two_filesystems() {
    again(&[(GROUND, "overlay")]);
}

/// Linux before 5.6 has no openat2, JFFS2 no exchange.
#[test]
fn every_promise_is_kept_without_openat2_and_exchange() {
    again(&[(KERNEL, "old")]);
}

#[test]
fn every_promise_is_kept_on_an_overlay_without_openat2_and_exchange() {
    again(&[(GROUND, "overlay"), (KERNEL, "old")]);
}

fn again(variables: &[(&str, &str)]) {
    let Some(output) = alone::again_with_mounts(&["::real::"], variables) else { return };
    alone::must_have_passed(&output);
    let text = String::from_utf8_lossy(&output.stdout);
    let passed =
        text.lines().find_map(|line| line.strip_prefix("test result: ok. ")).and_then(|rest| rest.split(' ').next());
    let passed: usize = passed.unwrap().parse().unwrap();
    // No fewer than there are: a filter that matches nothing would pass too.
    assert!(passed >= 80, "only {passed} claims:\n{text}");
}
