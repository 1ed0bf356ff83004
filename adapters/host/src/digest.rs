use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};
use release::Sha256;

/// The SHA-256 and the length of everything that the reader gives.
pub fn sha256_of(reader: &mut dyn Read) -> io::Result<(Sha256, u64)> {
    let mut hashing = Hashing::new(reader);
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.finish())
}

/// A reader that hashes what passes through it.
pub(crate) struct Hashing<R> {
    inner: R,
    context: Context,
    length: u64,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), length: 0 }
    }

    pub(crate) fn finish(self) -> (Sha256, u64) {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.context.finish().as_ref());
        (Sha256(bytes), self.length)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.context.update(&buffer[..n]);
        self.length += n as u64;
        Ok(n)
    }
}
