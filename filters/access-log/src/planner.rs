//! Makes the plan of a line when the plugin is configured.

use configuration::{Cut, Problem, Quoted};
use expression::evaluation::{Engine, Value};
use expression::{self, Kind, Parsed};
use host::property::{self, Property};
use host::Host;
use labels::metadata::node_text;
use labels::resolver::Needs;
use labels::Label;

use crate::config::{self, Format, LogConfig, Operand, Preset};
use crate::escape::Escaping;
use crate::fields::{self, Absent, FieldSource, Form, Made, Style};
use crate::mixer;
use crate::plan::{Cell, LinePlan, LineSlots, ValuePlace};
use crate::reads::Reads;
use crate::text_format::{self, Piece};

/// Whole maps: they contain values that must not be logged.
const MAPS: [[&str; 2]; 4] =
    [["request", "headers"], ["response", "headers"], ["request", "trailers"], ["response", "trailers"]];

/// The content type of a request.
pub const CONTENT_TYPE: Property = Property("request\0headers\0content-type");
const REQUEST_TIME: Property = Property("request\0time");
const REQUEST_SIZE: Property = Property("request\0size");
const RESPONSE_SIZE: Property = Property("response\0size");

/// A field that may be selected. Only selected fields are planned.
enum Wanted {
    /// One of the tables.
    Known(fields::LineField),
    /// One of the configuration, by index.
    Configured(usize),
    /// A text.
    Constant(String),
}

/// Makes a plan.
struct Planner<'a, H> {
    host: &'a H,
    reads: &'a mut Reads,
    problems: &'a mut Vec<Problem>,
    escaping: Escaping,
    plan: LinePlan,
}

/// The plan of a configuration, for requests or for connections. The attributes that it takes are added to `reads`.
pub fn plan(
    config: &LogConfig,
    tcp: bool,
    host: &impl Host,
    reads: &mut Reads,
    problems: &mut Vec<Problem>,
) -> LinePlan {
    let plan = LinePlan {
        json: config.format == Format::Json,
        cells: Vec::new(),
        tail: Vec::new(),
        engines: Vec::new(),
        needs: Needs::default(),
        needs_now: false,
        slots: LineSlots::NONE,
    };
    let escaping = Escaping { ascii: config.ascii, max: config.max_value };
    let mut planner = Planner { host, reads, problems, escaping, plan };
    match config.format {
        Format::None => {}
        Format::Json => planner.json(config, tcp),
        Format::Text => planner.text(&config.text_format),
    }
    planner.plan
}

impl<H: Host> Planner<'_, H> {
    /// The cells of a line of JSON.
    fn json(&mut self, config: &LogConfig, tcp: bool) {
        let known: &[fields::LineField] = match (config.preset, tcp) {
            (Preset::Istio, _) => &fields::DEFAULT,
            (Preset::Mixer, true) => &mixer::CONNECTION,
            (Preset::Mixer, false) => &mixer::REQUEST,
        };
        let event = (tcp && config.preset == Preset::Istio).then_some(&fields::EVENT);
        let mut cells: Vec<(String, Wanted)> =
            event.into_iter().chain(known).map(|field| (field.name.to_string(), Wanted::Known(*field))).collect();
        for (index, field) in config.fields.iter().enumerate() {
            match cells.iter_mut().find(|(name, _)| *name == field.name) {
                Some((_, known)) => *known = Wanted::Configured(index),
                None => cells.push((field.name.clone(), Wanted::Configured(index))),
            }
        }
        self.choose(config, &mut cells);
        for (name, new_name) in &config.rename_fields {
            let taken = cells.iter().any(|(other, _)| other == new_name);
            match cells.iter_mut().find(|(other, _)| other == name) {
                _ if taken => self.refuse(
                    &format!("rename_fields.{}", Cut(name)),
                    format!("{} is a field already, must be another", Quoted(new_name)),
                ),
                Some((other, _)) => *other = new_name.into(),
                None => self.refuse(
                    &format!("rename_fields.{}", Cut(name)),
                    format!("{} is not a field of the line", Quoted(name)),
                ),
            }
        }
        if config.preset == Preset::Mixer {
            let mut sorted: Vec<(String, Wanted)> = Vec::new();
            for cell in cells {
                sorted.insert(sorted.partition_point(|(name, _)| *name < cell.0), cell);
            }
            cells = sorted;
            let name = config.instance.clone().unwrap_or_else(|| {
                mixer::INSTANCES.map(String::from).into_iter().nth(usize::from(tcp)).unwrap_or_default()
            });
            let [of_request, of_connection] = &mixer::TIMES;
            let time = Wanted::Known(if tcp { *of_connection } else { *of_request });
            let level = Wanted::Constant(config.level.into());
            let head = [("level", level), ("time", time), ("instance", Wanted::Constant(name))];
            cells.splice(..0, head.map(|(name, cell)| (name.to_string(), cell)));
        }
        // A field that is not selected is not read for each request, but it is checked.
        for (index, field) in config.fields.iter().enumerate() {
            if !cells.iter().any(|(_, wanted)| matches!(wanted, Wanted::Configured(other) if *other == index)) {
                self.configured(field, index);
            }
        }
        for (name, wanted) in cells {
            let mut cell = match &wanted {
                Wanted::Known(field) => self.known(field),
                Wanted::Configured(index) => match config.fields.get(*index) {
                    Some(field) => self.configured(field, *index),
                    None => continue,
                },
                Wanted::Constant(text) => Cell::of(vec![ValuePlace::Constant(Value::Text(text.as_bytes().into()))]),
            };
            cell.before = [b",\"".as_slice(), &self.escaped(name.as_bytes()), b"\":"].concat();
            if config.omit_absent && cell.absent.as_deref() == Some(b"null") {
                cell.absent = None;
            }
            self.take(cell);
        }
        self.plan.tail.push(b'}');
    }

    /// The cells of a line in text.
    fn text(&mut self, format: &str) {
        let mut before = Vec::new();
        for piece in text_format::pieces(format) {
            match piece {
                Piece::Text(text) => before.extend_from_slice(text.as_bytes()),
                Piece::Value(value, max) => {
                    if let Some(cell) = self.operator(value) {
                        let before = core::mem::take(&mut before);
                        self.take(Cell { before, max: max.unwrap_or(usize::MAX), ..cell });
                    }
                }
                Piece::Wrong(message) => self.refuse(text_format::PATH, message),
            }
        }
        self.plan.tail = before;
    }

    /// The value of an operator; `None` if there is none, and that was reported.
    fn operator(&mut self, value: text_format::OperatorValue) -> Option<Cell> {
        let places = match value {
            text_format::OperatorValue::Operator(field) => return Some(self.known(field)),
            text_format::OperatorValue::Field(name) => match find(name) {
                Some(field) => return Some(self.known(&field)),
                None => {
                    self.refuse(text_format::PATH, format!("{} is not a known field", Quoted(name)));
                    return None;
                }
            },
            text_format::OperatorValue::Attribute(path) => {
                vec![ValuePlace::Slot(self.reads.slot(&path), Kind::Text, Form::Whole)]
            }
            text_format::OperatorValue::Headers(map, names) => {
                let paths = names.split('?').map(|name| text_format::header(map, name));
                paths.map(|path| ValuePlace::Slot(self.reads.slot(&path), Kind::Text, Form::Whole)).collect()
            }
            text_format::OperatorValue::Expression(text) => {
                let path = text_format::PATH.into();
                let operand = Operand { path, text: text.into(), known: false, kind: Kind::Text };
                self.operand(&operand).into_iter().collect()
            }
        };
        Some(Cell { absent: Some(self.absent(Absent::Null)), ..Cell::of(places) })
    }

    /// Applies `only_fields` and `remove_fields`.
    fn choose(&mut self, config: &LogConfig, cells: &mut Vec<(String, Wanted)>) {
        for (index, name) in config.only_fields.iter().enumerate() {
            if !cells.iter().any(|(other, _)| other == name) {
                match find(name) {
                    Some(known) => cells.push((name.clone(), Wanted::Known(known))),
                    None => self.refuse(&format!("only_fields[{index}]"), format!("{} is not a field", Quoted(name))),
                }
            }
        }
        for (index, name) in config.remove_fields.iter().enumerate() {
            // A field of the other kind of stream is not a mistake: one configuration may serve both kinds.
            if !cells.iter().any(|(other, _)| other == name) && find(name).is_none() {
                self.refuse(&format!("remove_fields[{index}]"), format!("{} is not a field", Quoted(name)));
            }
        }
        if !config.only_fields.is_empty() {
            let mut chosen = Vec::new();
            for name in &config.only_fields {
                if let Some(index) = cells.iter().position(|(other, _)| other == name) {
                    chosen.push(cells.swap_remove(index));
                }
            }
            *cells = chosen;
        }
        cells.retain(|(name, _)| !config.remove_fields.contains(name));
    }

    /// A field by the tables.
    fn known(&mut self, field: &fields::LineField) -> Cell {
        let places = field.sources.iter().map(|source| self.place(*source)).collect();
        Cell { style: field.style, absent: Some(self.absent(field.absent)), ..Cell::of(places) }
    }

    /// A field of the configuration.
    fn configured(&mut self, field: &config::ConfiguredField, index: usize) -> Cell {
        let mut cell = Cell::of(Vec::new());
        for operand in &field.values {
            match find(&operand.text).filter(|_| operand.known) {
                Some(known) => {
                    let known = self.known(&known);
                    cell = Cell { places: [cell.places, known.places].into_iter().flatten().collect(), ..known };
                }
                None if operand.known => {
                    self.refuse(&operand.path, format!("{} is not a known field", Quoted(&operand.text)));
                }
                None => {
                    let place = self.operand(operand);
                    cell.places.extend(place);
                }
            }
        }
        if field.number {
            for place in &mut cell.places {
                match place {
                    ValuePlace::Slot(_, Kind::Text, form) | ValuePlace::Side(_, form) if *form == Form::Whole => {
                        *form = Form::Number
                    }
                    _ => {}
                }
            }
        }
        let timed = cell.places.iter().any(ValuePlace::is_time);
        let style = field.style.unwrap_or(cell.style);
        if !timed && !matches!(style, Style::Plain | Style::Text) && !self.has_engine(&cell) {
            self.refuse(&format!("fields[{index}].as"), "is for times and durations, which this is not".into());
        }
        let max = field.max.unwrap_or(usize::MAX);
        Cell { style, max, hash: field.hash, ..cell }
    }

    fn has_engine(&self, cell: &Cell) -> bool {
        let time = |place: &ValuePlace| match place {
            ValuePlace::Engine(index) => {
                self.plan.engines.get(*index).is_none_or(|(_, kind)| matches!(kind, Kind::Duration | Kind::Timestamp))
            }
            _ => false,
        };
        // An expression that did not compile is reported only once.
        cell.places.is_empty() || cell.places.iter().any(time)
    }

    /// Where an expression's value is found; `None` if it cannot be, and that was reported.
    fn operand(&mut self, operand: &Operand) -> Option<ValuePlace> {
        let text = operand.text.as_str();
        Some(match expression::parse(text) {
            Parsed::Text(text) => ValuePlace::Constant(Value::Text(text.into_bytes())),
            Parsed::Number(number) => ValuePlace::Constant(Value::Integer(number.try_into().unwrap_or(i64::MAX))),
            Parsed::Node(path) => {
                ValuePlace::Constant(Value::Text(node_text(self.host, &expression::property(&path)).into_bytes()))
            }
            Parsed::Attribute(path, kind) | Parsed::Time(path, kind, _) => {
                ValuePlace::Slot(self.reads.slot(&expression::property(&path)), kind, Form::Whole)
            }
            Parsed::Other(_) if expression::path(text).is_some_and(|path| MAPS.iter().any(|map| path == *map)) => {
                self.refuse(
                    &operand.path,
                    format!("{} is all of a map, with secrets in it, must name what is in it", Quoted(text)),
                );
                return None;
            }
            Parsed::Other(rewritten) => {
                let rewritten = match operand.kind {
                    Kind::Double => ["double(", &rewritten, ")"].concat(),
                    _ => rewritten,
                };
                let engine = Engine::new(self.host, &rewritten, text, &operand.path, self.problems)?;
                self.plan.engines.push((engine, operand.kind));
                ValuePlace::Engine(self.plan.engines.len().saturating_sub(1))
            }
        })
    }

    /// Where a value of the tables is found.
    fn place(&mut self, source: FieldSource) -> ValuePlace {
        match source {
            FieldSource::Attribute(path, kind, form) => ValuePlace::Slot(self.reads.slot(path), kind, form),
            FieldSource::Side(who, form) => {
                who.add_to(&mut self.plan.needs);
                ValuePlace::Side(who, form)
            }
            FieldSource::Made(made) => {
                self.prepare(made);
                ValuePlace::Made(made)
            }
        }
    }

    /// Adds the attributes of a computed value.
    fn prepare(&mut self, made: Made) {
        let reads = &mut *self.reads;
        let slots = &mut self.plan.slots;
        match made {
            Made::Flags => slots.flags = reads.slot(property::RESPONSE_FLAGS.0),
            Made::GrpcStatus => {
                slots.content_type = reads.slot(CONTENT_TYPE.0);
                slots.grpc_status = reads.slot(property::RESPONSE_GRPC_STATUS.0);
            }
            Made::Elapsed | Made::ElapsedWhenClosed => {
                slots.duration = reads.slot(property::REQUEST_DURATION.0);
                slots.start = reads.slot(REQUEST_TIME.0);
            }
            Made::Now => self.plan.needs_now = true,
            Made::Event => {}
            Made::ReceivedSince => slots.received = reads.slot(REQUEST_SIZE.0),
            Made::SentSince => slots.sent = reads.slot(RESPONSE_SIZE.0),
            Made::Protocol => {
                slots.content_type = reads.slot(CONTENT_TYPE.0);
                slots.protocol = reads.slot(property::REQUEST_PROTOCOL.0);
            }
            Made::DestinationIp => {
                self.plan.needs.add(Label::Reporter);
                slots.upstream = reads.slot("upstream\0address");
                slots.local = reads.slot("destination\0address");
            }
        }
    }

    /// What to write if there is no value.
    fn absent(&self, absent: Absent) -> Vec<u8> {
        let (text, quoted) = match absent {
            Absent::Null if self.plan.json => ("null".into(), false),
            Absent::Null => ("-".into(), false),
            Absent::Text(text) => (text.to_string(), self.plan.json),
            Absent::Number(number) => (number.to_string(), false),
            Absent::NoTime => ("0s".into(), self.plan.json),
        };
        match quoted {
            true => ["\"", &text, "\""].concat().into_bytes(),
            false => text.into_bytes(),
        }
    }

    /// Adds a cell to the plan.
    fn take(&mut self, mut cell: Cell) {
        cell.max = cell.max.min(self.escaping.max);
        self.plan.cells.push(cell);
    }

    /// Reports a problem.
    fn refuse(&mut self, path: &str, message: String) {
        self.problems.push(Problem { path: path.into(), message });
    }

    fn escaped(&self, text: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        Escaping { max: usize::MAX, ..self.escaping }.write(&mut output, text);
        output
    }
}

/// The field of a name.
fn find(name: &str) -> Option<fields::LineField> {
    let mine = fields::DEFAULT.iter().chain([&fields::EVENT]).chain(&fields::OTHER);
    let all = mine.chain(&mixer::REQUEST).chain(&mixer::CONNECTION);
    all.into_iter().find(|field| field.name == name).copied()
}
