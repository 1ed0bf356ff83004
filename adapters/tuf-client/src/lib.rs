//! Fetches TUF metadata and targets and keeps the trusted store on disk.
