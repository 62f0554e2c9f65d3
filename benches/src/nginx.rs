//! nginx, as Debian packages it, with one worker.
use airglow_testbed::{Namespace, Process};
use std::{fs, path::Path, time::Duration};

/// One nginx in a namespace, serving `/page`: 4 KiB from a file.
pub struct Nginx {
    master: Process,
    worker: u32,
}

impl Nginx {
    /// Starts it: one worker on the first processor, `sendfile` on, no access log, and the `directives` of the
    /// block `http`. Its files go into `folder`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(namespace: &Namespace, folder: &Path, directives: &str) -> Self {
        let place = folder.display();
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("page"), vec![b'x'; 4096]).expect("a file");
        let configuration = format!(
            "worker_processes 1; worker_cpu_affinity 1; worker_rlimit_nofile 15000; daemon off; user root; pid {place}/pid;
             error_log stderr; events {{ worker_connections 14000; }}
             http {{ access_log off; sendfile on; {directives} default_type text/plain;
               keepalive_requests 1000000000; keepalive_timeout 300s;
               server {{ listen 80; root {place}; }} }}"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration).expect("a file");
        let (file, place) = (file.display().to_string(), place.to_string());
        let master = namespace.start("nginx", &["-c", &file, "-p", &place]);
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(100));
            let children = format!("/proc/{0}/task/{0}/children", master.id());
            let children = fs::read_to_string(children).unwrap_or_default();
            if let Some(worker) = children.split_whitespace().next().and_then(|id| id.parse().ok()) {
                return Self { master, worker };
            }
        }
        panic!("nginx has no worker: {}", master.so_far());
    }

    /// The process that does the work.
    pub fn worker(&self) -> u32 {
        self.worker
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // So that the worker ends too.
        self.master.signal("TERM");
        for _ in 0..50 {
            if !self.master.runs() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
