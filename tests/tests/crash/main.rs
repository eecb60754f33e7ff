//! What the service does when things go wrong around it: it is killed, the disk is full, the clock is wrong, clients are slow
//! or leave, others want its folder, or its record was damaged. The long runs are in `soak.rs`.

mod anchor_disk;
mod clock;
mod connections;
mod disk_full;
mod kill;
mod neighbours;
mod opening;
