//! A real Prometheus.

use std::net::SocketAddr;
use std::process::Command;

use crate::eventually::eventually;
use crate::http::Client;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// A Prometheus server that scrapes some targets every second.
#[derive(Debug)]
pub struct Prometheus {
    port: Port,
    dir: StateDir,
    _process: Process,
}

/// One series of the answer to a query: its labels and its latest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels; `__name__` is the metric.
    pub labels: serde_json::Value,
    /// The value, as text.
    pub value: String,
}

impl Prometheus {
    /// Starts one that scrapes these addresses at `/`.
    ///
    /// # Panics
    /// If prometheus is not installed or does not come up.
    pub async fn scraping(targets: &[SocketAddr]) -> Self {
        let (port, dir) = (Port::free(), StateDir::create("prometheus"));
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = dir.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: test\n  metrics_path: /\n  \
             static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        std::fs::write(&config, text)
            .unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        let program = programs::system("prometheus").unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("data").display()
            ))
            .arg(format!("--web.listen-address={}", port.address()));
        let process = Process::spawn("prometheus", command, Log::at(dir.join("log")))
            .unwrap_or_else(|error| panic!("starting prometheus: {error}"));
        let prometheus = Self {
            port,
            dir,
            _process: process,
        };
        let ready = prometheus.url("/-/ready");
        eventually("prometheus is ready", async || {
            let response = Client::host()
                .get(&ready)
                .await
                .map_err(|error| error.to_string())?;
            response
                .success()
                .map(|_| ())
                .map_err(|error| error.to_string())
        })
        .await;
        prometheus
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// The series that an expression selects, now. The expression stands in a URL as it is.
    ///
    /// # Errors
    /// It does not answer, or not with series.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>, String> {
        let url = self.url(&format!("/api/v1/query?query={expression}"));
        let response = Client::host()
            .get(&url)
            .await
            .map_err(|error| error.to_string())?;
        let answer = response.json();
        let series = answer["data"]["result"].as_array();
        let series = series.ok_or_else(|| format!("no series in {answer}"))?;
        let sample = |series: &serde_json::Value| Sample {
            labels: series["metric"].clone(),
            value: series["value"][1].as_str().unwrap_or_default().to_owned(),
        };
        Ok(series.iter().map(sample).collect())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.port.address())
    }
}
