//! The installed cargo against a running server: nothing mocked, nothing outside this machine.
//!
//! Each test starts a server on a free port with a data folder of its own, and a cargo with a home
//! of its own. One program holds all tests, since each further one would be linked anew.

mod accounts;
mod asymmetric;
mod auth;
mod backends;
mod backup;
mod caching;
mod command_line;
mod common;
mod crash;
mod dependencies;
mod disk;
mod dl;
mod downloads;
mod export;
mod features;
mod hostile;
mod identity;
mod import;
mod import_hostile;
mod index_line;
mod layers;
mod layout;
mod limits;
mod lists;
mod memory;
mod migrate;
mod names;
mod open_files;
mod overload;
mod owners;
mod path_tokens;
mod policy;
mod private;
mod proxies;
mod publish;
mod read_only;
mod redirect;
mod resolve;
mod search;
mod self_hosting;
mod shutdown;
mod snippet;
mod spool;
mod static_folder;
mod storage_gc;
mod storage_migrate;
mod storage_options;
mod storage_verify;
mod ten_servers;
mod verify;
mod ways_in;
mod workspace;
mod yank;
