// Draws a model as SVG, lays it out in layers, and lets people move about in it.
//
// A model has nodes {id, kind, title, subtitle, level, hint} and edges {key, source, target, kind, level, width, lines,
// brief, hint}; `brief` is what a dense picture shows of edges that are pointed at. As long as the same nodes and edges
// are shown, everything keeps its place.

/* global dagre */

const SVG = 'http://www.w3.org/2000/svg';
const LINE = 15;
const PAD = 6;
const ICON = 13;
const MAX_TITLE = 190;

const ruler = document.createElement('canvas').getContext('2d');
const FONTS = {
  title: '600 13px system-ui, sans-serif',
  denseTitle: '600 15px system-ui, sans-serif', // a dense picture is shown smaller
  subtitle: '11px system-ui, sans-serif',
  label: '600 11.5px system-ui, sans-serif',
};

/** Where along its edge the label of a dense picture may stand, best first. */
const LARGER = 1.25; // letters of labels there
const SPOTS = [0.62, 0.5, 0.74, 0.4, 0.3, 0.84];

export function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function widthOf(text, font) {
  ruler.font = FONTS[font];
  return Math.ceil(ruler.measureText(text).width);
}

function shortened(text, font, room) {
  if (widthOf(text, font) <= room) return text;
  let length = text.length;
  while (length > 1 && widthOf(`${text.slice(0, length)}…`, font) > room) length -= 1;
  return `${text.slice(0, length)}…`;
}

const lineWidth = (line) => widthOf(line.text, 'label') + (line.icon ? ICON : 0);

function labelSize(lines) {
  if (!lines.length) return { width: 0, height: 0 };
  return { width: Math.max(...lines.map(lineWidth)) + 2 * PAD, height: lines.length * LINE + 4 };
}

function nodeSize(node, dense) {
  const title = Math.min(MAX_TITLE, widthOf(node.title, dense ? 'denseTitle' : 'title'));
  const subtitle = dense ? 0 : Math.min(MAX_TITLE, widthOf(node.subtitle, 'subtitle'));
  return { width: Math.max(title, subtitle, dense ? 40 : 84) + 26, height: dense ? 26 : 44 };
}

/** Layers from left to right: the long way is the one that screens have, and that `shape` (width by height) is of. */
export function layered(model, sizes, shape = 1.6) {
  const { dense } = model;
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'LR', nodesep: dense ? 8 : 26, ranksep: dense ? 60 : 66, edgesep: dense ? 5 : 14 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of model.nodes) graph.setNode(node.id, { ...sizes.get(node.id) });
  for (const edge of model.edges) {
    // As much room as most labels need, so that a number that grows moves nothing.
    const room = { width: Math.max(92, labelSize(edge.lines).width), height: Math.max(3, edge.lines.length) * LINE };
    graph.setEdge(edge.source, edge.target, dense ? {} : { ...room, labelpos: 'l', labeloffset: 5 }, edge.key);
  }
  dagre.layout(graph);
  const { width, height } = graph.graph();
  const stretch = dense ? Math.min(2.5, Math.max(1, (height * shape) / width)) : 1;
  const wide = ({ x, y }) => ({ x: x * stretch, y });
  const nodes = new Map(model.nodes.map((node) => [node.id, wide(graph.node(node.id))]));
  const edges = new Map(model.edges.map((edge) => {
    const placed = graph.edge(edge.source, edge.target, edge.key);
    const points = fromSideToSide(placed.points.map(wide), edge, nodes, sizes);
    if (dense) return [edge.key, { points }];
    // The label stands on its line, which is level there.
    const label = { x: placed.x, y: placed.y + placed.height / 2, isAbove: true };
    return [edge.key, { points: levelled(points, placed.x, placed.width), label, isLevel: true }];
  }));
  return { nodes, edges };
}

/** Lines that go to the right leave a node on its right side and come to the next on its left. */
function fromSideToSide(points, { source, target }, nodes, sizes) {
  const [from, to] = [nodes.get(source), nodes.get(target)];
  if (from.x >= to.x) return points;
  const inside = points.slice(1, -1);
  const port = (id, side, towards) => {
    const { x, y } = nodes.get(id);
    const { width, height } = sizes.get(id);
    const limit = height * 0.3;
    return { x: x + (side * width) / 2, y: y + Math.min(limit, Math.max(-limit, (towards.y - y) * 0.15)) };
  };
  return [port(source, 1, inside[0] ?? to), ...inside, port(target, -1, inside[inside.length - 1] ?? from)];
}

function levelled(points, x, width) {
  const at = points.findIndex((point, index) => index > 0 && index < points.length - 1 && Math.abs(point.x - x) < 1);
  if (at < 0) return points;
  const { y } = points[at];
  return points.toSpliced(at, 1, { x: x - width / 2, y }, { x: x + width / 2, y });
}

/** A curve: through the points, level at each, or else through the middles between them. */
function curve(points, isLevel) {
  if (isLevel) {
    const steps = points.slice(1).map(({ x, y }, index) => {
      const middle = (points[index].x + x) / 2;
      return `C${middle} ${points[index].y} ${middle} ${y} ${x} ${y}`;
    });
    return `M${points[0].x} ${points[0].y}${steps.join('')}`;
  }
  if (points.length < 3) return `M${points.map((p) => `${p.x} ${p.y}`).join('L')}`;
  let path = `M${points[0].x} ${points[0].y}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const next = points[i + 1];
    const end = i === points.length - 2 ? next : { x: (points[i].x + next.x) / 2, y: (points[i].y + next.y) / 2 };
    path += `Q${points[i].x} ${points[i].y} ${end.x} ${end.y}`;
  }
  return path;
}

/** A tip at the end of the points, and the points without the room that it takes. */
function withTip(points, size, isLevel) {
  const end = points[points.length - 1];
  const before = isLevel ? { x: end.x - 1, y: end.y } : points[points.length - 2];
  const length = Math.hypot(end.x - before.x, end.y - before.y) || 1;
  const [dx, dy] = [(end.x - before.x) / length, (end.y - before.y) / length];
  const base = { x: end.x - dx * size, y: end.y - dy * size };
  const half = size * 0.45;
  const tip = `M${end.x} ${end.y}L${base.x - dy * half} ${base.y + dx * half}L${base.x + dy * half} ${base.y - dx * half}Z`;
  return { points: [...points.slice(0, -1), base], tip };
}

export class Picture {
  /** `layout(model, sizes)` gives positions; `onSelect` is told the id of a node, the key of an edge, or null. */
  constructor(svg, { layout = layered, onSelect = () => {} } = {}) {
    this.svg = svg;
    this.layout = layout;
    this.onSelect = onSelect;
    this.signature = null;
    this.selected = null;
    this.hovered = null;
    this.moved = false;
    this.layers = { edges: element('g'), labels: element('g'), nodes: element('g') };
    this.world = element('g', {}, this.layers.edges, this.layers.labels, this.layers.nodes);
    svg.append(this.world);
    this.listen();
  }

  show(model) {
    this.model = model;
    const shape = JSON.stringify([model.dense, model.nodes.map((n) => [n.id, n.title, n.subtitle]), model.edges.map((e) => [e.key, model.dense ? 0 : Math.max(3, e.lines.length)])]);
    if (shape !== this.signature) {
      this.signature = shape;
      this.sizes = new Map(model.nodes.map((node) => [node.id, nodeSize(node, model.dense)]));
      const { width, height } = this.svg.getBoundingClientRect();
      this.places = this.layout(model, this.sizes, width && height ? width / height : undefined);
      this.rebuild();
      if (!this.moved) this.fit();
    }
    this.update();
  }

  /** New positions of the same things. */
  place(places) {
    this.places = places;
    this.update();
  }

  rebuild() {
    for (const layer of Object.values(this.layers)) layer.replaceChildren();
    this.groups = new Map();
    for (const edge of this.model.edges) {
      const group = element('g', { class: 'edge', 'data-source': edge.source, 'data-target': edge.target, 'data-kind': edge.kind });
      const label = element('g', { class: 'label' });
      this.watch(group, edge.key);
      this.watch(label, edge.key);
      this.layers.edges.append(group);
      this.layers.labels.append(label);
      this.groups.set(edge.key, { group, label });
    }
    for (const node of this.model.nodes) {
      const group = element('g', { 'data-id': node.id, tabindex: 0, role: 'button' });
      this.watch(group, node.id);
      group.addEventListener('keydown', (event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          this.select(node.id);
        }
      });
      this.layers.nodes.append(group);
      this.groups.set(node.id, { group });
    }
  }

  watch(group, id) {
    group.addEventListener('pointerenter', () => { this.hovered = id; this.update(); });
    group.addEventListener('pointerleave', () => { this.hovered = null; this.update(); });
    group.addEventListener('click', (event) => { event.stopPropagation(); if (!this.dragged) this.select(id); });
  }

  select(id) {
    this.selected = id !== null && id === this.selected ? null : id;
    this.update();
    this.onSelect(this.selected);
  }

  update() {
    if (!this.model) return;
    const focus = this.hovered ?? this.selected;
    const near = (edge) => focus === null || edge.key === focus || edge.source === focus || edge.target === focus;
    const lit = new Set(this.model.edges.filter(near).flatMap((edge) => [edge.source, edge.target]).concat(focus ?? []));
    this.svg.classList.toggle('dense', this.model.dense);
    this.taken = [];
    for (const edge of this.model.edges) {
      this.drawEdge(edge, near(edge), focus !== null);
    }
    for (const node of this.model.nodes) this.drawNode(node, focus === null || lit.has(node.id));
  }

  drawNode(node, isLit) {
    const { group } = this.groups.get(node.id);
    const { width, height } = this.sizes.get(node.id);
    const { x, y } = this.places.nodes.get(node.id);
    const round = node.kind === 'mirror' ? height / 2 : 7;
    const strip = `M${round} 0H${5.5}V${height}H${round}A${round} ${round} 0 0 1 0 ${height - round}V${round}A${round} ${round} 0 0 1 ${round} 0Z`;
    const room = width - 22;
    const middle = width / 2 + 2;
    group.setAttribute('class', `node ${node.kind} ${node.level}${isLit ? '' : ' faded'}${this.selected === node.id ? ' selected' : ''}`);
    group.setAttribute('transform', `translate(${x - width / 2} ${y - height / 2})`);
    group.setAttribute('aria-label', node.hint);
    const text = (style, at, content) => element('text', { class: style, x: middle, y: at, 'text-anchor': 'middle' }, shortened(content, style === 'title' && this.model.dense ? 'denseTitle' : style, room));
    const parts = [element('title', {}, node.hint), element('rect', { class: 'box', width, height, rx: round })];
    if (node.kind === 'workload') parts.push(element('path', { class: `strip ${node.level}`, d: strip }));
    parts.push(text('title', this.model.dense ? 18.5 : 19, node.title));
    if (!this.model.dense) parts.push(text('subtitle', 34, node.subtitle));
    group.replaceChildren(...parts);
  }

  drawEdge(edge, isNear, hasFocus) {
    const { group, label } = this.groups.get(edge.key);
    const place = this.places.edges.get(edge.key);
    const style = `${edge.kind === 'shadow' ? 'shadow' : edge.level}${edge.kind === 'tcp' && edge.level !== 'idle' ? ' tcp' : ''}`;
    const { points, tip } = withTip(place.points, 7 + edge.width, place.isLevel);
    const faded = isNear ? '' : ' faded';
    const d = curve(points, place.isLevel);
    group.setAttribute('class', `edge ${edge.level}${faded}${this.selected === edge.key ? ' selected' : ''}`);
    group.replaceChildren(
      element('title', {}, edge.hint),
      element('path', { class: 'hit', d }),
      element('path', { class: `line ${style}`, d, 'stroke-width': edge.width }),
      element('path', { class: `tip ${style}`, d: tip }),
    );
    const lines = this.model.dense && hasFocus ? (isNear ? edge.brief : []) : edge.lines;
    const at = place.label ?? this.spot(lines, group);
    label.setAttribute('class', `label${place.label ? '' : ' on-line'}${faded}`);
    if (this.model.dense && at) label.setAttribute('transform', `translate(${at.x} ${at.y}) scale(${LARGER}) translate(${-at.x} ${-at.y})`);
    else label.removeAttribute('transform');
    label.replaceChildren(...this.labelParts(lines, at, edge.hint));
  }

  /** A point on the edge where its label hides no other. */
  spot(lines, group) {
    if (!lines.length) return null;
    const path = group.querySelector('.line');
    const length = path.getTotalLength();
    const scale = this.model.dense ? LARGER : 1;
    const { width, height } = Object.fromEntries(Object.entries(labelSize(lines)).map(([side, size]) => [side, size * scale]));
    const points = SPOTS.map((part) => path.getPointAtLength(part * length));
    const isFree = ({ x, y }) => this.taken.every((other) => Math.abs(other.x - x) * 2 > other.width + width || Math.abs(other.y - y) * 2 > other.height + height);
    const { x, y } = points.find(isFree) ?? points[0];
    this.taken.push({ x, y, width, height });
    return { x, y };
  }

  labelParts(lines, at, hint) {
    if (!lines.length) return [];
    const { width, height } = labelSize(lines);
    const top = at.isAbove ? at.y - height : at.y - height / 2;
    const parts = [element('title', {}, hint), element('rect', { x: at.x - width / 2, y: top, width, height })];
    lines.forEach((line, index) => {
      const left = at.x - lineWidth(line) / 2;
      const base = top + 13 + index * LINE;
      if (line.icon) parts.push(element('use', { href: `#${line.icon}`, class: line.iconStyle ?? '', x: left, y: base - 9.5, width: 9, height: 11 }));
      parts.push(element('text', { class: line.style ?? '', x: left + (line.icon ? ICON : 0), y: base }, line.text));
    });
    return parts;
  }

  // --- Moving about -----------------------------------------------------------------------------------------------

  fit() {
    const box = this.bounds();
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width || !height || !box) return;
    const scale = Math.min(1.2, (width - 24) / box.width, (height - 24) / box.height);
    this.view = { scale, x: width / 2 - (box.x + box.width / 2) * scale, y: height / 2 - (box.y + box.height / 2) * scale };
    this.moved = false;
    this.apply();
  }

  bounds() {
    const rectangles = [...this.places.nodes].map(([id, { x, y }]) => {
      const { width, height } = this.sizes.get(id);
      return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
    });
    for (const { points, label } of this.places.edges.values()) {
      for (const { x, y } of points) rectangles.push([x, y, x, y]);
      if (label) rectangles.push([label.x - 40, label.y - 40, label.x + 40, label.y + 10]);
    }
    if (!rectangles.length) return null;
    const [x, y] = [0, 1].map((i) => Math.min(...rectangles.map((r) => r[i])));
    const [right, bottom] = [2, 3].map((i) => Math.max(...rectangles.map((r) => r[i])));
    return { x, y, width: right - x, height: bottom - y };
  }

  zoom(factor, at) {
    if (!this.view) return;
    const { width, height } = this.svg.getBoundingClientRect();
    const point = at ?? { x: width / 2, y: height / 2 };
    const scale = Math.min(4, Math.max(0.1, this.view.scale * factor));
    const change = scale / this.view.scale;
    this.view = { scale, x: point.x - (point.x - this.view.x) * change, y: point.y - (point.y - this.view.y) * change };
    this.moved = true;
    this.apply();
  }

  apply() {
    this.world.setAttribute('transform', `translate(${this.view.x} ${this.view.y}) scale(${this.view.scale})`);
  }

  listen() {
    let from = null;
    const { svg } = this;
    svg.addEventListener('wheel', (event) => {
      event.preventDefault();
      const box = svg.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 500), { x: event.clientX - box.x, y: event.clientY - box.y });
    }, { passive: false });
    svg.addEventListener('pointerdown', (event) => {
      this.dragged = false;
      if (this.view) from = { x: event.clientX - this.view.x, y: event.clientY - this.view.y, at: event };
    });
    window.addEventListener('pointermove', (event) => {
      if (!from || this.held) return;
      if (Math.hypot(event.clientX - from.at.clientX, event.clientY - from.at.clientY) < 4 && !this.dragged) return;
      this.dragged = true;
      this.moved = true;
      svg.classList.add('dragging');
      this.view = { ...this.view, x: event.clientX - from.x, y: event.clientY - from.y };
      this.apply();
    });
    window.addEventListener('pointerup', () => { from = null; svg.classList.remove('dragging'); });
    svg.addEventListener('click', () => { if (!this.dragged) this.select(null); });
    window.addEventListener('keydown', (event) => { if (event.key === 'Escape' && this.selected !== null) this.select(null); });
    new ResizeObserver(() => { if (!this.moved && this.places) this.fit(); }).observe(svg);
  }
}
