//! What a job asks of the cluster: what its stage says, and for the rest what the site's profile says.

use std::time::Duration;

use crate::pipeline::spec::{Growth, Handling};
use crate::slurm::share::Share;

const MEBIBYTE: u64 = 1 << 20;
/// What a stage may take beyond its own time limits, for starting and for tidying up.
const MARGIN: Duration = Duration::from_mins(2);

/// What a job asks for. Jobs that ask for the same are submitted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Request {
    /// Where it is queued; the cluster's own choice if it does not say.
    pub partition: Option<String>,
    /// Who pays.
    pub account: Option<String>,
    /// Cores, which are also the threads of the stage.
    pub cores: Option<u32>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// GPUs.
    pub gpu: u32,
    /// How long it may take.
    pub time: Option<Duration>,
    /// Further options of `sbatch`.
    pub extra: Vec<String>,
    /// Nodes that it must not run on: others of its kind could not be started there.
    pub exclude: Vec<String>,
    /// What a job does.
    pub share: Share,
}

impl Request {
    /// What a stage asks for, over what the site says.
    pub fn of(handling: &Handling, site: &Self) -> Self {
        let (own, queue) = (&handling.resources, handling.resources.queue.clone().unwrap_or_default());
        // As long as all its attempts may take, if it says that.
        let attempts = handling.retries.times + 1;
        let limit = handling.timeout.map(|timeout| timeout * attempts + MARGIN);
        Self {
            partition: queue.partition.clone().or_else(|| site.partition.clone()),
            account: queue.account.clone().or_else(|| site.account.clone()),
            cores: own.cores.map(|cores| cores as u32).or(site.cores),
            memory: Some(own.memory).filter(|memory| *memory > 0).or(site.memory),
            gpu: own.gpu,
            time: queue.time.or(limit).or(site.time),
            extra: [site.extra.clone(), queue.extra.clone()].concat(),
            exclude: Vec::new(),
            share: Share::default(),
        }
    }

    /// The threads of its stage.
    pub fn threads(&self) -> usize {
        self.cores.unwrap_or(1).max(1) as usize
    }

    /// When a job should stop by itself: Slurm counts whole minutes, and warns up to one too early.
    pub fn own_limit(&self) -> Option<f64> {
        let time = self.time?.as_secs_f64();
        Some(time - (time / 10.0).min(60.0))
    }

    /// The same with more memory, alone; `None` if it does not say how much it has.
    #[must_use]
    pub fn with_more_memory(&self, growth: Growth) -> Option<Self> {
        let memory = growth.grow(self.memory?, 1);
        Some(Self { memory: Some(memory), share: Share::default(), ..self.clone() })
    }

    /// The same with more time, alone; `None` if it does not say how much it has.
    #[must_use]
    pub fn with_more_time(&self, growth: Growth) -> Option<Self> {
        let time = Duration::from_secs(growth.grow(self.time?.as_secs(), 1));
        Some(Self { time: Some(time), share: Share::default(), ..self.clone() })
    }

    /// The same elsewhere than on this node.
    #[must_use]
    pub fn elsewhere(&self, node: &str) -> Self {
        let mut request = self.clone();
        if !node.is_empty() && !request.exclude.iter().any(|excluded| excluded == node) {
            request.exclude.push(node.to_owned());
        }
        request
    }

    /// As options of `sbatch`. Slurm counts memory in MiB and time in minutes: both are rounded up.
    pub fn options(&self) -> Vec<String> {
        let option = |name: &str, value: Option<String>| value.map(|value| format!("--{name}={value}"));
        let own = [
            option("partition", self.partition.clone()),
            option("account", self.account.clone()),
            option("cpus-per-task", self.cores.map(|cores| cores.to_string())),
            option("mem", self.memory.map(|bytes| format!("{}M", bytes.div_ceil(MEBIBYTE).max(1)))),
            option("gres", Some(self.gpu).filter(|gpu| *gpu > 0).map(|gpu| format!("gpu:{gpu}"))),
            // The last node that begins in time has all of its own.
            option(
                "time",
                self.time.map(|time| (time + self.share.time).as_secs().div_ceil(60).max(1).to_string()),
            ),
            // Where the limit is the site's, it is Slurm that warns.
            option("signal", self.time.is_none().then(|| "B:USR1@60".to_owned())),
            option("exclude", Some(self.exclude.join(",")).filter(|nodes| !nodes.is_empty())),
        ];
        own.into_iter().flatten().chain(self.extra.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::spec::{Queue, Resources};

    #[test]
    fn a_stage_says_and_the_site_says_the_rest() {
        let site = Request {
            partition: Some("main".into()),
            cores: Some(2),
            memory: Some(1 << 30),
            extra: vec!["--qos=low".into()],
            ..Request::default()
        };
        let plain = Request::of(&Handling::default(), &site);
        assert_eq!(
            plain.options(),
            ["--partition=main", "--cpus-per-task=2", "--mem=1024M", "--signal=B:USR1@60", "--qos=low"]
        );
        let queue = Queue { time: Some(Duration::from_secs(61)), ..Queue::default() };
        let resources = Resources { cores: Some(8), memory: 1, gpu: 1, queue: Some(Arc::new(queue)) };
        let asked = Request::of(&Handling { resources, ..Handling::default() }, &site);
        assert_eq!(
            asked.options().join(" "),
            "--partition=main --cpus-per-task=8 --mem=1M --gres=gpu:1 --time=2 --qos=low"
        );
        let more = asked.with_more_time(Growth(200)).unwrap().elsewhere("n1").elsewhere("n1");
        assert_eq!((more.time, more.exclude.len()), (Some(Duration::from_secs(122)), 1));
        let timed = Handling { timeout: Some(Duration::from_mins(10)), ..Handling::default() };
        assert_eq!(Request::of(&timed, &Request::default()).options(), ["--time=12"]);
        assert_eq!(Request::default().with_more_memory(Growth(200)), None);
    }
}
