//! A stand-in for ubusd that has given the name away.
//!
//! OpenWrt's ubusd answers a second object of the same name with status 2, and so does this; the broker of the crate
//! `ubusd` 0.5 lets the second one have it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// It refuses every name until it is allowed to give them.
pub struct Refusing {
    socket: PathBuf,
    gives: Arc<AtomicBool>,
}

impl Refusing {
    /// A running one, in this directory.
    pub fn start_in(dir: &Path) -> Refusing {
        let socket = dir.join("refusing.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let gives = Arc::new(AtomicBool::new(false));
        let shared = gives.clone();
        // It ends with the tests' process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let gives = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &gives));
            }
        });
        Refusing { socket, gives }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on a client that asks for a name gets it.
    pub fn give(&self) {
        self.gives.store(true, Ordering::Relaxed);
    }
}

fn serve(mut stream: UnixStream, gives: &AtomicBool) {
    stream.write_all(&[0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 4]).unwrap();
    let mut head = [0; 12];
    loop {
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => panic!("{error}"),
        }
        let length = u32::from_be_bytes([0, head[9], head[10], head[11]]) as usize;
        stream.read_exact(&mut vec![0; length - 4]).unwrap();
        // Only names are asked of it: ADD_OBJECT.
        if head[1] != 6 {
            continue;
        }
        let [_, _, s0, s1, ..] = head;
        let given = gives.load(Ordering::Relaxed);
        if given {
            stream.write_all(&[0, 2, s0, s1, 0, 0, 0, 0, 0, 0, 0, 12, 3, 0, 0, 8, 0, 0, 4, 7]).unwrap();
        }
        let status = if given { 0 } else { 2 };
        stream.write_all(&[0, 1, s0, s1, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 8, 0, 0, 0, status]).unwrap();
    }
}
