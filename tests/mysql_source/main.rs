//! The MySQL and MariaDB source against real servers.

mod borders;
mod capture;
mod charsets;
mod compressed;
mod internal;
mod partial;
mod precheck;
mod resume;
mod start;
mod values;
