// What the pages of Istio's servicegraph have in common: nodes called `app (workload)`, edges with labels of text.

import { isDense } from './model.js';
import { bytes, duration, perSecond, share } from './text.js';

const WRITE = {
  'reqs/sec': ['', perSecond],
  'bytes/sec': ['TCP ', bytes],
  'shadow reqs/sec': ['copies ', perSecond],
  'p99 ms': ['p99 ', duration],
  'error ratio': ['errors ', share],
  'fault ratio': ['faults ', share],
  'match ratio': ['alike ', share],
};

const number = (text) => (text === undefined ? 0 : Number(text));

export function nodeOf(id, name) {
  const [, app, workload] = /^(.*) \((.*)\)$/.exec(name) ?? [undefined, name, ''];
  const kind = app === 'mirror' ? 'mirror' : workload === 'unknown' ? (app === 'unknown' ? 'unknown' : 'service') : 'workload';
  return { id, kind, title: kind === 'mirror' ? workload : app, subtitle: kind === 'mirror' ? app : workload, level: 'ok', hint: name };
}

export function edgeOf(key, source, target, labels) {
  const kind = 'bytes/sec' in labels ? 'tcp' : 'shadow reqs/sec' in labels ? 'shadow' : 'http';
  const errors = number(labels['error ratio']);
  const traffic = number(labels['reqs/sec'] ?? labels['bytes/sec'] ?? labels['shadow reqs/sec']);
  const level = traffic === 0 ? 'idle' : errors >= 0.05 ? 'bad' : errors >= 0.01 ? 'warn' : 'ok';
  const names = Object.keys(WRITE).filter((name) => name in labels);
  const lines = names.map((name) => {
    const [before, write] = WRITE[name];
    const style = name === 'error ratio' ? level : name === 'fault ratio' ? 'fault' : name.endsWith('/sec') ? 'main' : '';
    return { text: before + write(number(labels[name])), style };
  });
  const hint = Object.entries(labels).map(([name, value]) => `${name}: ${value}`).join(', ');
  return { key, source, target, kind, level, width: 1.8, lines, brief: lines.filter((line) => line.style), hint };
}

/** Of many edges, only errors and faults are written beside them. */
export function modelOf(nodes, edges) {
  const dense = isDense(edges);
  if (dense) edges.forEach((edge) => { edge.lines = edge.lines.filter(({ style }) => ['warn', 'bad', 'fault'].includes(style)); });
  return { dense, nodes, edges };
}

/** Keeps the address's query, as servicegraph's pages did. */
export const withQuery = (path) => path + location.search;

export function say(text) {
  const message = document.getElementById('message');
  message.hidden = !text;
  message.textContent = text;
}
