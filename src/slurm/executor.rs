//! The executor of the engine: takes ready nodes, and tells what comes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::engine::executor::{Circumstances, Executor, Task, Told};
use crate::pipeline::KeyedNode;
use crate::slurm::batch::{Folder, Header};
use crate::slurm::client::Facts;
use crate::slurm::cluster::Cluster;
use crate::slurm::follow::{Fact, Follower, Job, Rules, Wish};
use crate::slurm::profile::Profile;
use crate::slurm::request::Request;
use crate::slurm::script::Submitter;
use crate::slurm::share::Share;

/// How long to wait for more nodes that become ready: those that come together are submitted together.
const TOGETHER: Duration = Duration::from_millis(30);
/// How often to look whether the user wants to stop.
const ASK: Duration = Duration::from_millis(100);

/// Runs nodes as jobs of Slurm.
pub struct Slurm<'a> {
    /// What all jobs share.
    pub submitter: Submitter,
    /// Where jobs are told what to do.
    pub folder: Folder,
    /// What the jobs must know.
    pub header: Header,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// What the cluster is set up to do.
    pub facts: Facts,
    /// How long a stage of a kind takes, as far as is known.
    pub usual: BTreeMap<String, f64>,
    /// What the user wants who wants to stop.
    pub ask: &'a (dyn Fn() -> Wish + Sync),
}

impl Slurm<'_> {
    fn job(&self, task: &Task<'_>) -> Job {
        Job {
            place: task.place,
            key: task.node.key,
            request: Arc::new(request(task.node, &self.usual, &self.submitter.profile)),
            retries: task.node.node.handling.retries,
            growths: 0,
            losses: 0,
        }
    }
}

/// What the job of a node asks for at a site.
pub fn request(node: &KeyedNode, usual: &BTreeMap<String, f64>, profile: &Profile) -> Request {
    let handling = &node.node.handling;
    let site = if handling.resources.gpu > 0 { &profile.gpu } else { &profile.jobs };
    let share = Share::of(profile.together, usual.get(node.node.stage.as_str()).copied());
    Request { share, ..Request::of(handling, site) }
}

/// Whether a node is worth a job: not if its kind is done in moments or needs the network, or it is known to take little time; but always
/// if it asks for something of a cluster.
pub fn takes(node: &KeyedNode, usual: &BTreeMap<String, f64>, local_below: Duration) -> bool {
    let resources = &node.node.handling.resources;
    if resources.queue.is_some() || resources.gpu > 0 {
        return true;
    }
    let seconds = usual.get(node.node.stage.as_str()).copied();
    !node.node.work.kind().local && seconds.is_none_or(|seconds| seconds >= local_below.as_secs_f64())
}

impl Executor for Slurm<'_> {
    fn takes(&self, node: &KeyedNode) -> bool {
        takes(node, &self.usual, self.submitter.profile.local_below)
    }

    fn run(&self, tasks: &Receiver<Task<'_>>, around: Circumstances<'_>, tell: &dyn Fn(Told)) {
        let mut follower = Follower::new(Rules {
            array: self.facts.array.min(self.submitter.profile.submitted),
            submitted: self.submitter.profile.submitted as usize,
            resubmit: self.submitter.profile.resubmit,
        });
        let mut cluster = Cluster {
            start: Instant::now(),
            store: around.store,
            folder: &self.folder,
            submitter: &self.submitter,
            header: &self.header,
            pipeline: self.pipeline,
            has_history: self.facts.has_history,
            tasks: BTreeMap::new(),
            read: BTreeMap::new(),
        };
        let (mut wake, mut is_open) = (Instant::now(), true);
        while is_open || follower.count() > 0 {
            let before = follower.count();
            is_open = self.gather(tasks, &mut follower, &mut cluster, wake, is_open);
            let wish = self.wish(around);
            let has_new = follower.count() > before;
            if wish == Wish::GoOn && Instant::now() < wake && !has_new {
                continue;
            }
            let mut ended = Vec::new();
            let pause = follower.turn(&mut cluster, wish, &mut |place, fact| {
                if matches!(fact, Fact::Done(_)) {
                    ended.push(place);
                }
                tell(told(place, fact));
            });
            for place in ended {
                cluster.tasks.remove(&place);
            }
            wake = Instant::now() + pause.min(Duration::from_mins(1));
            if matches!(wish, Wish::Leave | Wish::Cancel) && !is_open {
                return;
            }
        }
    }
}

impl Slurm<'_> {
    /// Waits for nodes, until it is time to do something or the user may have changed his mind; whether there may be more.
    fn gather<'t>(
        &self,
        tasks: &Receiver<Task<'t>>,
        follower: &mut Follower,
        cluster: &mut Cluster<'_, 't>,
        wake: Instant,
        is_open: bool,
    ) -> bool {
        let left =
            if follower.count() == 0 { ASK } else { wake.saturating_duration_since(Instant::now()).min(ASK) };
        if !is_open {
            std::thread::sleep(left);
            return false;
        }
        let mut patience = left;
        loop {
            match tasks.recv_timeout(patience) {
                Ok(task) => {
                    follower.add(self.job(&task));
                    cluster.tasks.insert(task.place, task);
                    patience = TOGETHER;
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn wish(&self, around: Circumstances<'_>) -> Wish {
        if around.cancelled.load(Ordering::Relaxed) {
            (self.ask)()
        } else if around.failed.load(Ordering::Relaxed) {
            Wish::Finish
        } else {
            Wish::GoOn
        }
    }
}

fn told(place: usize, fact: Fact<Arc<crate::store::Summary>>) -> Told {
    match fact {
        Fact::Submitted(name) => Told::Submitted(place, name),
        Fact::Started(threads) => Told::Started(place, threads),
        Fact::Reported(report) => Told::Reported(place, report),
        Fact::Retried(error) => Told::Retried(place, error),
        Fact::Done(result) => Told::Done(place, result),
    }
}
