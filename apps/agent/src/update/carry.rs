//! The memory file that carries sessions from one program image to the next.
//!
//! Bytes: `SLUISHO1`, the length of a JSON text in four bytes (little-endian), the JSON text
//! `{"fds":[…]}` with the numbers of the descriptors, and then the state, which only the serving process
//! understands. Numbers are those in the process that reads it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"SLUISHO1";

#[derive(Serialize, Deserialize)]
struct Header {
    fds: Vec<i32>,
}

/// Writes numbers and state into a new memory file.
pub fn write(fds: Vec<i32>, state: &[u8]) -> io::Result<File> {
    let header = serde_json::to_vec(&Header { fds })?;
    let mut file = crate::os::memory_file("sluis-sessions")?;
    file.write_all(MAGIC)?;
    file.write_all(&(header.len() as u32).to_le_bytes())?;
    file.write_all(&header)?;
    file.write_all(state)?;
    Ok(file)
}

/// Reads numbers and state from the beginning of a memory file.
pub fn read(file: &mut File) -> io::Result<(Vec<i32>, Vec<u8>)> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("it is no state of sessions"))?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| bad("it is cut short"))?;
    let length = u32::from_le_bytes(*length) as usize;
    let (header, state) = rest.split_at_checked(length).ok_or_else(|| bad("it is cut short"))?;
    let header: Header = serde_json::from_slice(header)?;
    Ok((header.fds, state.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_reads_back_and_anything_else_is_refused() {
        let mut file = write(vec![5, 9], b"state").expect("written");
        assert_eq!(read(&mut file).expect("read"), (vec![5, 9], b"state".to_vec()));
        let length = file.metadata().expect("known").len();
        for cut in 0..length - 5 {
            file.set_len(cut).expect("cut");
            assert!(read(&mut file).is_err(), "cut at {cut}");
        }
    }
}
