//! Whatever Envoy answers, and whatever happens to streams, nothing traps: a trap ends the VM for every stream of the worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::abi::{status, Answer, Asked, CallResponse, Plugin, Stream, Vm};

use crate::scene::{connection, http, request, tcp, Case};

/// Sequences of events for each module.
const SEQUENCES: u64 = 400;
/// Events of a sequence at most.
const EVENTS: u64 = 40;
/// Streams that live at once at most.
const STREAMS: usize = 4;

/// Numbers that are the same in each run: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.one_of(&[0, 1, 7, 8, 8, 9, 40, 300, 9000]);
        let byte = |random: &mut Self| match random.below(3) {
            0 => random.one_of(b"\0\x01\x3d\x23\x04\x67,;:.={}\"% \xc3"),
            1 => random.one_of(b"abcxyz0123456789/-"),
            _ => random.next() as u8,
        };
        (0..length).map(|_| byte(self)).collect()
    }
}

/// What a call answers in place of the truth, for so many of 16 calls.
fn lie(random: &mut Random, asked: &Asked, share: u64) -> Option<Answer> {
    // Nothing else tells a module what a stream is; and these the SDK's dispatcher needs to be true.
    let kind_of_stream = asked.callback == "proxy_on_context_create" && asked.subject == "request.protocol";
    let context_of_answer =
        asked.callback == "proxy_on_http_call_response" && asked.call == "proxy_set_effective_context";
    if kind_of_stream || context_of_answer || random.below(16) >= share {
        return None;
    }
    if asked.call == "proxy_http_call" {
        // It has no others, and the SDK panics on them.
        return Some(Answer::Status(random.one_of(&[status::BAD_ARGUMENT, status::INTERNAL_FAILURE])));
    }
    Some(match random.below(4) {
        0 => Answer::Bytes(random.bytes()),
        1 => Answer::Number(random.one_of(&[0, 1, 255, 1 << 31, 1 << 40, u64::MAX])),
        2 => Answer::Number(random.next()),
        _ => Answer::Status(random.below(u64::from(status::LAST) + 1) as u32),
    })
}

#[test]
fn nothing_traps() -> Result<()> {
    let http = http().into_iter().map(|case| (case, true));
    let cases: Vec<(Case, bool)> = http.chain(tcp().into_iter().map(|case| (case, false))).collect();
    for (case, is_http) in &cases {
        let of_module = cases.iter().filter(|(other, _)| other.module == case.module).count();
        let mut vm = case.vm()?;
        // Plugins come and go in one VM, as with updates.
        for seed in 0..SEQUENCES / of_module as u64 {
            let what = || format!("{case:?}, HTTP: {is_http}, sequence {seed}");
            Sequence::new(&mut vm, *case, *is_http, seed).with_context(what)?.run().with_context(what)?;
        }
    }
    Ok(())
}

/// Events that follow each other.
struct Sequence<'a> {
    vm: &'a mut Vm,
    random: Rc<RefCell<Random>>,
    is_http: bool,
    /// The plugin, as long as it lives.
    root: Option<u32>,
    streams: Vec<u32>,
}

impl<'a> Sequence<'a> {
    fn new(vm: &'a mut Vm, case: Case, is_http: bool, seed: u64) -> Result<Self> {
        let random = Rc::new(RefCell::new(Random(seed)));
        let share = random.borrow_mut().one_of(&[0, 1, 1, 4, 8, 16]);
        let of_script = Rc::clone(&random);
        let envoy = vm.envoy_mut();
        envoy.log.clear();
        envoy.calls.clear();
        // Most plugins are configured by the truth: one that is not has no streams.
        let lies_at_once = random.borrow_mut().below(4) == 0;
        envoy.script(move |asked| {
            let is_beginning = matches!(asked.callback, "proxy_on_configure" | "_initialize");
            if is_beginning && !lies_at_once {
                return None;
            }
            lie(&mut of_script.borrow_mut(), asked, share)
        });
        let garbage = random.borrow_mut().bytes();
        let is_garbage = random.borrow_mut().below(16) == 0;
        let root =
            vm.configure(if is_garbage { Plugin::new(case.root_id).configured(garbage) } else { case.plugin() })?;
        Ok(Self { vm, random, is_http, root, streams: Vec::new() })
    }

    fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end)
    }

    fn run(mut self) -> Result<()> {
        for _ in 0..self.below(EVENTS) {
            match self.root {
                Some(root) => self.event(root)?,
                None => break,
            }
        }
        if let Some(root) = self.root.filter(|_| self.below(2) == 0) {
            self.vm.end_root(root)?;
            self.root = None;
        }
        while let Some(id) = self.streams.pop() {
            self.step(id)?;
            self.vm.end(id)?;
        }
        self.root.map_or(Ok(()), |root| self.vm.end_root(root))
    }

    fn event(&mut self, root: u32) -> Result<()> {
        match self.below(10) {
            0 => self.vm.tick(root)?,
            1 => self.vm.pass(Duration::from_millis(self.below(3000)))?,
            2 => drop(self.vm.access_log(root, self.stream())?),
            3 => self.answer()?,
            4 | 5 if self.streams.len() < STREAMS => {
                let stream = self.stream();
                let id = if self.is_http { self.vm.http(root, stream)? } else { self.vm.connection(root, stream)? };
                self.streams.push(id);
            }
            6 if !self.streams.is_empty() => {
                let index = self.below(self.streams.len() as u64) as usize;
                let id = self.streams.swap_remove(index);
                // Not everything that ends is logged.
                if self.below(3) == 0 {
                    self.vm.delete(id)?;
                } else {
                    self.vm.end(id)?;
                }
            }
            _ if !self.streams.is_empty() => {
                let index = self.below(self.streams.len() as u64) as usize;
                self.step(self.streams[index])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Something happens to a stream, whatever has happened to it before.
    fn step(&mut self, id: u32) -> Result<()> {
        let end = self.below(4) == 0;
        let bytes = self.random.borrow_mut().bytes();
        let step = self.below(6);
        if !self.is_http {
            let from_upstream = step.is_multiple_of(2);
            let data = if from_upstream { Vm::upstream } else { Vm::downstream };
            return data(self.vm, id, &bytes, end).map(drop);
        }
        match step {
            0 => self.vm.request_headers(id, end),
            1 => self.vm.request_body(id, &bytes, end),
            2 => self.vm.request_trailers(id),
            3 => self.vm.response_headers(id, end),
            4 => self.vm.response_body(id, &bytes, end),
            _ => self.vm.response_trailers(id),
        }
        .map(drop)
    }

    fn answer(&mut self) -> Result<()> {
        let Some(token) = self.vm.envoy().calls.last().map(|call| call.token) else { return Ok(()) };
        let response = match self.below(3) {
            0 => CallResponse::default(),
            _ => CallResponse {
                headers: [(":status", "200"), ("x-envoy-upstream-service-time", "3")].into(),
                body: self.random.borrow_mut().bytes(),
                ..CallResponse::default()
            },
        };
        self.vm.answer(token, response)
    }

    /// A stream of which much or nothing is known.
    fn stream(&self) -> Stream {
        match self.below(4) {
            0 if self.is_http => Stream::default().text("request.protocol", "HTTP/2"),
            0 => Stream::default(),
            _ if self.is_http => request(),
            _ => connection(),
        }
    }
}
