//! Virtual time, timers and tasks. One thread, one order: of what is due at the same moment, the one
//! that was asked for first comes first.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Wake;

use crate::simulate::world::World;

/// Something that happens at a moment.
pub(crate) type Event = Box<dyn FnOnce(&Rc<World>)>;
type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The instance that a task belongs to; its end is the task's end.
pub(crate) type Owner = Option<u64>;

struct Task {
    owner: Owner,
    /// Empty while the task is being polled.
    work: Option<Work>,
    waker: Waker,
}

struct TaskWaker {
    id: u64,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().push_back(self.id);
    }
}

/// What unwinds through an instance's code when it dies in the middle of a turn.
pub(crate) struct Died;

/// Ends the present turn of an instance that just died.
pub(crate) fn die() -> ! {
    resume_unwind(Box::new(Died))
}

/// How a turn ended.
pub(crate) enum Turn<T> {
    /// As it should.
    Done(T),
    /// The instance died in it.
    Died,
    /// The code under test panicked.
    Panicked(String),
}

/// Runs one turn of an instance's code.
pub(crate) fn turn<T>(work: impl FnOnce() -> T) -> Turn<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Turn::Done(value),
        Err(payload) if payload.is::<Died>() => Turn::Died,
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
            Turn::Panicked(text.unwrap_or_else(|| "a panic without words".to_owned()))
        }
    }
}

/// The executor of one run.
pub(crate) struct Exec {
    now: Cell<i64>,
    counter: Cell<u64>,
    timers: RefCell<BTreeMap<(i64, u64), Event>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Exec {
    /// An executor whose clock shows `start`.
    pub(crate) fn new(start: i64) -> Self {
        Self {
            now: Cell::new(start),
            counter: Cell::new(0),
            timers: RefCell::default(),
            tasks: RefCell::default(),
            ready: Arc::default(),
        }
    }

    /// The present moment, in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.now.get()
    }

    /// A number that was not given before.
    pub(crate) fn unique(&self) -> u64 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    /// Has something happen at a moment; one that is past means now.
    pub(crate) fn at(&self, moment: i64, event: impl FnOnce(&Rc<World>) + 'static) {
        let key = (moment.max(self.now()), self.unique());
        self.timers.borrow_mut().insert(key, Box::new(event));
    }

    /// Has something happen after some milliseconds.
    pub(crate) fn after(&self, millis: i64, event: impl FnOnce(&Rc<World>) + 'static) {
        self.at(self.now() + millis, event);
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, owner: Owner, work: impl Future<Output = ()> + 'static) {
        let id = self.unique();
        let waker = Waker::from(Arc::new(TaskWaker {
            id,
            ready: self.ready.clone(),
        }));
        let task = Task {
            owner,
            work: Some(Box::pin(work)),
            waker,
        };
        self.tasks.borrow_mut().insert(id, task);
        self.ready.lock().unwrap().push_back(id);
    }

    /// Waits.
    pub(crate) fn sleep(&self, millis: i64) -> impl Future<Output = ()> + use<> {
        let slot = Slot::new();
        let filled = slot.clone();
        self.after(millis, move |_| filled.fill(()));
        slot.wait()
    }

    /// Whether a task of this instance is left.
    pub(crate) fn is_busy(&self, owner: u64) -> bool {
        let tasks = self.tasks.borrow();
        tasks.values().any(|task| task.owner == Some(owner))
    }

    /// Ends all tasks of an instance. One that is being polled ends with its turn.
    pub(crate) fn end_tasks(&self, owner: u64) {
        let ids: Vec<u64> = {
            let tasks = self.tasks.borrow();
            let own = tasks
                .iter()
                .filter(|(_, task)| task.owner == Some(owner) && task.work.is_some());
            own.map(|(id, _)| *id).collect()
        };
        for id in ids {
            // The borrow ends before the future is dropped, which may reach back here.
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task);
        }
        for task in self.tasks.borrow_mut().values_mut() {
            if task.owner == Some(owner) {
                task.owner = Some(u64::MAX);
            }
        }
    }

    /// Runs everything that is due at this moment, then goes on to the next one. False where nothing
    /// is left before `limit`.
    pub(crate) fn step(world: &Rc<World>, limit: i64) -> bool {
        let exec = &world.exec;
        loop {
            let next = exec.ready.lock().unwrap().pop_front();
            let Some(id) = next else { break };
            exec.poll(world, id);
        }
        let event = {
            let mut timers = exec.timers.borrow_mut();
            match timers.first_key_value() {
                Some(((moment, _), _)) if *moment <= limit => timers.pop_first(),
                _ => None,
            }
        };
        let Some(((moment, _), event)) = event else {
            return false;
        };
        exec.now.set(moment);
        event(world);
        true
    }

    /// Forgets every task and timer.
    pub(crate) fn clear(&self) {
        let tasks = core::mem::take(&mut *self.tasks.borrow_mut());
        let timers = core::mem::take(&mut *self.timers.borrow_mut());
        drop((tasks, timers));
    }

    /// Moves the clock forward where nothing happens until then.
    pub(crate) fn skip_to(&self, moment: i64) {
        self.now.set(self.now().max(moment));
    }

    fn poll(&self, world: &Rc<World>, id: u64) {
        let taken = {
            let mut tasks = self.tasks.borrow_mut();
            tasks.get_mut(&id).and_then(|task| {
                let work = task.work.take()?;
                Some((work, task.waker.clone(), task.owner))
            })
        };
        let Some((mut work, waker, owner)) = taken else {
            return;
        };
        let polled = turn(|| work.as_mut().poll(&mut Context::from_waker(&waker)));
        let orphaned = |exec: &Self| {
            let tasks = exec.tasks.borrow();
            tasks
                .get(&id)
                .is_none_or(|task| task.owner == Some(u64::MAX))
        };
        match polled {
            Turn::Done(Poll::Pending) if !orphaned(self) => {
                if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
                    task.work = Some(work);
                }
            }
            Turn::Done(_) => {
                let task = self.tasks.borrow_mut().remove(&id);
                drop((task, work));
            }
            failed => {
                let task = self.tasks.borrow_mut().remove(&id);
                drop((task, work));
                world.turn_failed(owner, failed);
            }
        }
    }
}

/// A value that comes once, and whoever waits for it.
pub(crate) struct Slot<T>(Rc<SlotState<T>>);

struct SlotState<T> {
    value: RefCell<Option<T>>,
    filled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Slot<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(Rc::new(SlotState {
            value: RefCell::new(None),
            filled: Cell::new(false),
            waker: RefCell::new(None),
        }))
    }

    /// Whether the value has come; later ones are too late.
    pub(crate) fn is_filled(&self) -> bool {
        self.0.filled.get()
    }

    /// Gives the value, unless there was one before.
    pub(crate) fn fill(&self, value: T) {
        if self.0.filled.replace(true) {
            return;
        }
        *self.0.value.borrow_mut() = Some(value);
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits for the value.
    pub(crate) fn wait(self) -> impl Future<Output = T> {
        poll_fn(move |context| {
            let value = self.0.value.borrow_mut().take();
            if value.is_none() {
                *self.0.waker.borrow_mut() = Some(context.waker().clone());
            }
            value.map_or(Poll::Pending, Poll::Ready)
        })
    }
}
