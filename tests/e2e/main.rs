//! The built binary, end to end: on a port that the system chooses, with real bash scripts, against
//! a real S3 server and, where it is installed, a real database. The tests know the agent's
//! contract and nothing of its code.

mod artifact_names;
mod artifacts;
mod audit;
mod background;
mod by_hand;
mod cancel;
mod config;
mod credentials;
mod demo;
mod destinations;
mod failures;
mod file_destination;
mod generations;
mod harness;
mod hostile_clients;
mod ids;
mod instants;
mod integrity;
mod large;
mod links;
mod logs;
mod parameters;
mod polling_body;
mod postgresql;
mod queue;
mod recovery;
mod request_bodies;
mod request_members;
mod restore_files;
mod routes;
mod s3_ambient;
mod s3_destination;
mod script_matrix;
mod scripts;
mod secrets;
mod shutdown;
mod state_directory;
mod storage_env;
mod swift;
mod tls;
mod transfers;
mod watching;
mod wire;
