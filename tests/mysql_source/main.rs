//! The MySQL and MariaDB source against real servers.

mod capture;
mod compressed;
mod partial;
mod precheck;
mod resume;
mod start;
mod values;
