// The live page: asks for the graph every two seconds and draws it.

import { fullName, key, level, model } from './model.js';
import { Picture } from './picture.js';
import { bytes, duration, perSecond, share } from './text.js';

const PAUSE = 2000;

const by = (id) => document.getElementById(id);
const controls = by('controls');
let graph = null;
let paused = false;
let timer = 0;
let asked = 0;

const picture = new Picture(by('picture'), { onSelect: showPanel });

function query() {
  // What the address says and no control has (source_workload and the like) stays.
  const wanted = new URLSearchParams(location.search);
  for (const { name, type, value, checked } of controls.elements) {
    if (!name) continue;
    if (type === 'checkbox' ? checked : value) wanted.set(name, value);
    else wanted.delete(name);
  }
  return wanted;
}

function readAddress() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const control = controls.elements[name];
    if (!control) continue;
    if (control.type === 'checkbox') {
      control.checked = value === 'true';
    } else {
      if (![...control.options].some((option) => option.value === value)) control.add(new Option(value, value));
      control.value = value;
    }
  }
}

async function refresh() {
  clearTimeout(timer);
  const number = (asked += 1);
  try {
    const response = await fetch(`/mesh.json?${query()}`);
    if (number !== asked) return;
    if (!response.ok) throw new Error(await response.text());
    graph = await response.json();
    say(graph.edges.length ? '' : 'No traffic yet that a stats filter has seen.');
    draw();
    document.body.dataset.state = 'ready';
  } catch (error) {
    if (number !== asked) return;
    say(error.message.trim() || 'The mesh does not answer any more.', graph !== null);
    document.body.dataset.state = 'failed';
  }
  if (!paused) timer = setTimeout(refresh, PAUSE);
}

function draw() {
  picture.show(model(graph));
  summarize();
  offerNamespaces();
  showPanel(picture.selected);
}

function say(text, isStale = false) {
  by('message').hidden = !text;
  by('message').textContent = text;
  by('message').classList.toggle('stale', isStale);
}

function summarize() {
  const requests = graph.edges.filter((edge) => edge.kind === 'http');
  const rate = requests.reduce((sum, edge) => sum + edge.rate, 0);
  const failed = requests.reduce((sum, edge) => sum + edge.rate * edge.errors, 0);
  const told = graph.edges.filter((edge) => edge.mtls !== null);
  const secured = told.filter((edge) => edge.mtls > 0.999).length;
  const workloads = graph.nodes.filter((node) => node.kind === 'workload').length;
  const parts = [[workloads, workloads === 1 ? 'workload' : 'workloads'], [perSecond(rate), 'requests'], [share(rate ? failed / rate : 0), 'errors']];
  if (told.length) parts.push([`${secured} of ${told.length}`, 'edges with mutual TLS']);
  by('summary').replaceChildren(...parts.flatMap(([value, what], index) => {
    const strong = document.createElement('b');
    strong.textContent = value;
    return [index ? ' · ' : '', strong, ` ${what}`];
  }));
}

function offerNamespaces() {
  const select = controls.elements.destination_namespace;
  const known = new Set([...select.options].map((option) => option.value));
  for (const { namespace } of graph.nodes) {
    if (namespace && !known.has(namespace)) {
      known.add(namespace);
      select.add(new Option(namespace, namespace));
    }
  }
}

// --- The panel ------------------------------------------------------------------------------------------------------

function html(name, text, style) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (style) made.className = style;
  return made;
}

function table(edges, end) {
  const made = html('table');
  const head = html('tr');
  head.append(...[end === 'source' ? 'from' : 'to', 'rate', 'errors', 'p99', 'mTLS'].map((text) => html('th', text)));
  made.append(head);
  for (const edge of edges) {
    const row = html('tr');
    const other = graph.nodes.find((node) => node.id === edge[end]);
    const isHttp = edge.kind === 'http';
    row.append(
      html('td', fullName(other)),
      html('td', edge.kind === 'tcp' ? bytes(edge.received + edge.sent) : perSecond(edge.rate)),
      html('td', isHttp ? share(edge.errors) : '', level(edge)),
      html('td', edge.p99 === null ? '' : duration(edge.p99)),
      html('td', edge.mtls === null ? '?' : share(edge.mtls)),
    );
    made.append(row);
  }
  return made;
}

function section(panel, heading, content) {
  panel.append(html('h3', heading), content);
}

function list(rows) {
  const made = html('table');
  for (const [name, value] of rows) {
    const row = html('tr');
    row.append(html('td', name), html('td', value));
    made.append(row);
  }
  return made;
}

function showNode(panel, node) {
  panel.append(html('h2', fullName(node)));
  const labels = [node.app && `app ${node.app}`, node.version && `version ${node.version}`].filter(Boolean).join(', ');
  panel.append(html('p', node.kind === 'workload' ? labels : node.kind, 'sub'));
  const incoming = graph.edges.filter((edge) => edge.target === node.id);
  const outgoing = graph.edges.filter((edge) => edge.source === node.id);
  if (incoming.length) section(panel, 'Called by', table(incoming, 'source'));
  if (outgoing.length) section(panel, 'Calls', table(outgoing, 'target'));
}

function showEdge(panel, edge) {
  const [from, to] = [edge.source, edge.target].map((id) => fullName(graph.nodes.find((node) => node.id === id)));
  panel.append(html('h2', `${from} → ${to}`));
  panel.append(html('p', { http: 'requests', tcp: 'TCP', shadow: 'copies of requests' }[edge.kind], 'sub'));
  const rows = [[edge.kind === 'tcp' ? 'new connections' : 'rate', perSecond(edge.rate)]];
  if (edge.kind === 'tcp') rows.push(['bytes there', bytes(edge.received)], ['bytes back', bytes(edge.sent)]);
  if (edge.kind === 'http') rows.push(['errors', share(edge.errors)]);
  if (edge.p99 !== null) rows.push(['p99', duration(edge.p99)]);
  if (edge.kind !== 'shadow') rows.push(['mutual TLS', edge.mtls === null ? 'unknown' : share(edge.mtls)]);
  if (edge.delayed) rows.push(['delayed by a fault', share(edge.delayed)]);
  if (edge.aborted) rows.push(['answered by a fault', share(edge.aborted)]);
  if (edge.matched !== null) rows.push(['answered alike', share(edge.matched)]);
  section(panel, 'In the mean', list(rows));
  const codes = Object.entries(edge.codes).sort((a, b) => b[1] - a[1]);
  if (codes.length) section(panel, 'Status and response flags', list(codes.map(([code, rate]) => [code, perSecond(rate)])));
}

function showPanel(id) {
  const panel = by('panel');
  const node = graph?.nodes.find((one) => one.id === id);
  const edge = graph?.edges.find((one) => key(one) === id);
  panel.hidden = !node && !edge;
  if (panel.hidden) return;
  const close = html('button', 'Close', 'close');
  close.addEventListener('click', () => picture.select(null));
  panel.replaceChildren(close);
  if (node) showNode(panel, node);
  else showEdge(panel, edge);
}

// --- Controls -------------------------------------------------------------------------------------------------------

controls.addEventListener('change', () => {
  history.replaceState(null, '', `?${query()}`);
  refresh();
});
controls.addEventListener('submit', (event) => event.preventDefault());
by('pause').addEventListener('click', (event) => {
  paused = !paused;
  event.target.textContent = paused ? 'Go on' : 'Pause';
  event.target.setAttribute('aria-pressed', paused);
  if (!paused) refresh();
});
by('zoom').addEventListener('click', ({ target }) => {
  const how = target.dataset.zoom;
  if (how === 'fit') picture.fit();
  else if (how) picture.zoom(Number(how));
});
by('shade').addEventListener('click', () => {
  const isDark = getComputedStyle(document.documentElement).colorScheme === 'dark';
  document.documentElement.dataset.theme = isDark ? 'light' : 'dark';
  localStorage.setItem('theme', document.documentElement.dataset.theme);
});

const wantedTheme = new URLSearchParams(location.search).get('theme') ?? localStorage.getItem('theme');
if (wantedTheme) document.documentElement.dataset.theme = wantedTheme;
readAddress();
refresh();
