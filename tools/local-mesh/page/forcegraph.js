// The nodes of /d3graph, placed by forces; they can be dragged. Asks again every five seconds.

/* global d3 */

import { Picture } from './picture.js';
import { edgeOf, modelOf, nodeOf, say, withQuery } from './servicegraph.js';

const PAUSE = 5000;
const TICKS = 300;

const svg = document.getElementById('picture');
const panel = document.getElementById('panel');
const kept = new Map(); // bodies by id, so that what stays keeps its place
let model = { nodes: [], edges: [] };
let bodies = [];
let sizes = new Map();
let simulation = null;

const picture = new Picture(svg, { layout, onSelect: showPanel });

function layout(shown, measured) {
  sizes = measured;
  bodies = shown.nodes.map(({ id }) => kept.get(id) ?? { id });
  kept.clear();
  bodies.forEach((body) => kept.set(body.id, body));
  simulation?.stop();
  const crowd = Math.min(1, 30 / bodies.length);
  simulation = d3.forceSimulation(bodies)
    .force('charge', d3.forceManyBody().strength(-500 - 900 * crowd))
    .force('link', d3.forceLink(shown.edges.map(({ source, target }) => ({ source, target }))).id((body) => body.id).distance(110 + 70 * crowd).strength(0.35))
    .force('collide', d3.forceCollide((body) => sizes.get(body.id).width / 2 + 8))
    .force('x', d3.forceX().strength(0.03))
    .force('y', d3.forceY().strength(0.07))
    .stop()
    .tick(TICKS);
  simulation.on('tick', () => picture.place(places()));
  return places();
}

/** Where a straight line from the middle of a node leaves it. */
function border(body, towards) {
  const { width, height } = sizes.get(body.id);
  const [dx, dy] = [towards.x - body.x, towards.y - body.y];
  const scale = Math.min(width / 2 / (Math.abs(dx) || 1e-6), height / 2 / (Math.abs(dy) || 1e-6), 1);
  return { x: body.x + dx * scale, y: body.y + dy * scale };
}

function places() {
  const edges = model.edges.map((edge) => {
    const [source, target] = [kept.get(edge.source), kept.get(edge.target)];
    const points = source === target
      ? [{ x: source.x + 20, y: source.y - 12 }, { x: source.x + 60, y: source.y - 50 }, { x: source.x - 20, y: source.y - 12 }]
      : [border(source, target), border(target, source)];
    return [edge.key, { points }];
  });
  return { nodes: new Map(bodies.map(({ id, x, y }) => [id, { x, y }])), edges: new Map(edges) };
}

async function refresh() {
  try {
    const response = await fetch(withQuery('/d3graph'));
    if (!response.ok) throw new Error(await response.text());
    const { nodes, links } = await response.json();
    const names = nodes.map(({ name }) => name);
    const edges = links.map(({ source, target, labels }, index) => edgeOf(`${names[source]} ${names[target]} ${index}`, names[source], names[target], labels));
    model = modelOf(names.map((name) => nodeOf(name, name)), edges);
    say(names.length ? '' : 'No traffic yet that a stats filter has seen.');
    picture.show(model);
    showPanel(picture.selected);
    document.body.dataset.state = 'ready';
  } catch (error) {
    say(error.message);
    document.body.dataset.state = 'failed';
  }
  setTimeout(refresh, PAUSE);
}

// --- Dragging nodes -------------------------------------------------------------------------------------------------

svg.addEventListener('pointerdown', (event) => {
  const body = kept.get(event.target.closest('.node')?.dataset.id);
  if (!body) return;
  picture.held = body;
  simulation.alphaTarget(0.2).restart();
});
window.addEventListener('pointermove', (event) => {
  if (!picture.held) return;
  const box = svg.getBoundingClientRect();
  const { x, y, scale } = picture.view;
  picture.held.fx = (event.clientX - box.x - x) / scale;
  picture.held.fy = (event.clientY - box.y - y) / scale;
  picture.moved = true;
});
window.addEventListener('pointerup', () => {
  if (!picture.held) return;
  Object.assign(picture.held, { fx: null, fy: null });
  picture.held = null;
  simulation.alphaTarget(0);
});

// --- The panel ------------------------------------------------------------------------------------------------------

function showPanel(id) {
  panel.hidden = id === null;
  if (panel.hidden) return;
  const heading = document.createElement('h2');
  heading.textContent = id;
  const list = document.createElement('table');
  for (const edge of model.edges.filter(({ key, source, target }) => key === id || source === id || target === id)) {
    const row = list.insertRow();
    row.insertCell().textContent = edge.source === id ? `to ${edge.target}` : edge.target === id ? `from ${edge.source}` : `${edge.source} to ${edge.target}`;
    row.insertCell().textContent = edge.lines.concat(edge.brief).map(({ text }) => text)[0] ?? '';
  }
  panel.replaceChildren(heading, list);
}

refresh();
