// What is drawn, made of what /mesh.json says.

import { bytes, duration, perSecond, share } from './text.js';

/** More edges than this have one short line each. */
const DENSE = 24;

export const isDense = (edges) => edges.length > DENSE;

export const key = (edge) => `${edge.source} ${edge.target} ${edge.kind}`;

const amount = (edge) => edge.rate + edge.received + edge.sent;

/** How bad: idle, ok, warn (1 % errors), bad (5 %). */
export function level(edge) {
  if (amount(edge) <= 0) return 'idle';
  if (edge.kind === 'shadow') return 'ok';
  if (edge.errors >= 0.05) return 'bad';
  return edge.errors >= 0.01 ? 'warn' : 'ok';
}

export const title = (node) => ({ unknown: 'outside', nowhere: 'nowhere', service: node.name, mirror: node.name })[node.kind] ?? (node.app || node.name);

/** A node's whole name, where space is no matter. */
export function fullName(node) {
  if (node.kind === 'unknown' || node.kind === 'nowhere') return title(node);
  return node.namespace ? `${node.name}.${node.namespace}` : node.name;
}

function subtitle(node, manyNamespaces) {
  const place = manyNamespaces && node.namespace ? ` · ${node.namespace}` : '';
  switch (node.kind) {
    case 'unknown': return 'no proxy';
    case 'nowhere': return 'no route';
    case 'mirror': return 'mirror';
    case 'service': return `nobody reached${place}`;
    default: return (node.version || node.name) + place;
  }
}

function security(edge) {
  if (edge.mtls === null || edge.kind === 'shadow') return undefined;
  return edge.mtls > 0.999 ? 'lock' : 'open';
}

/** The lines beside an edge: {text, style, icon, iconStyle}. */
function lines(edge, dense) {
  const state = level(edge);
  const icon = security(edge);
  const iconStyle = icon === 'open' ? 'plain' : '';
  const fault = Math.max(edge.delayed, edge.aborted);
  if (edge.kind === 'shadow') {
    const first = { text: dense ? perSecond(edge.rate) : `${perSecond(edge.rate)} copied`, style: 'shadow' };
    return edge.matched === null || dense ? [first] : [first, { text: `${share(edge.matched)} alike` }];
  }
  const rate = edge.kind === 'tcp' ? bytes(edge.received + edge.sent) : perSecond(edge.rate);
  if (dense) {
    // Only what is out of the ordinary: plaintext, errors, faults.
    const open = icon === 'open';
    const found = [];
    if (state === 'warn' || state === 'bad') found.push({ text: share(edge.errors), style: state, icon: open ? icon : undefined, iconStyle });
    else if (open) found.push({ text: rate, icon, iconStyle });
    if (fault > 0) found.push({ text: share(fault), style: 'fault', icon: 'bolt', iconStyle: 'fault' });
    return found;
  }
  const all = [{ text: edge.kind === 'tcp' ? `TCP ${rate}` : rate, style: 'main', icon, iconStyle }];
  if (edge.p99 !== null && state !== 'idle') all.push({ text: `p99 ${duration(edge.p99)}` });
  if (edge.errors > 0) all.push({ text: `${share(edge.errors)} errors`, style: state === 'ok' ? '' : state });
  if (edge.delayed > 0) all.push({ text: `${share(edge.delayed)} delayed`, style: 'fault', icon: 'bolt', iconStyle: 'fault' });
  if (edge.aborted > 0) all.push({ text: `${share(edge.aborted)} aborted`, style: 'fault', icon: 'bolt', iconStyle: 'fault' });
  return all;
}

/** One sentence for tooltips and screen readers. */
function sentence(edge, names) {
  const parts = [`${names.get(edge.source)} to ${names.get(edge.target)}: ${lines(edge, false).map((line) => line.text).join(', ')}`];
  if (edge.mtls !== null) parts.push(edge.mtls > 0.999 ? 'mutual TLS' : edge.mtls > 0 ? `${share(edge.mtls)} mutual TLS` : 'plaintext');
  const codes = Object.entries(edge.codes).sort((a, b) => b[1] - a[1]);
  if (codes.length) parts.push(codes.map(([code, rate]) => `${code} ${perSecond(rate)}`).join(', '));
  return parts.join('; ');
}

const worst = (levels) => ['bad', 'warn', 'ok'].find((one) => levels.includes(one)) ?? 'idle';

export function model(graph) {
  const dense = isDense(graph.edges);
  const manyNamespaces = new Set(graph.nodes.filter((node) => node.namespace).map((node) => node.namespace)).size > 1;
  const names = new Map(graph.nodes.map((node) => [node.id, fullName(node)]));
  const busiest = Math.max(1, ...graph.edges.filter((edge) => edge.kind === 'http').map((edge) => edge.rate));
  const width = (edge) => (edge.kind === 'http' ? 1.2 + 2.8 * Math.sqrt(edge.rate / busiest) : 1.8);
  return {
    dense,
    nodes: graph.nodes.map((node) => {
      const incoming = graph.edges.filter((edge) => edge.target === node.id);
      const around = incoming.length ? incoming : graph.edges.filter((edge) => edge.source === node.id);
      return {
        id: node.id,
        kind: node.kind,
        title: dense && node.kind === 'workload' && node.version ? `${title(node)} ${node.version}` : title(node),
        subtitle: subtitle(node, manyNamespaces),
        level: incoming.length ? worst(incoming.map(level)) : worst(around.map(level)) === 'idle' ? 'idle' : 'ok',
        hint: `${names.get(node.id)} (${node.kind === 'workload' ? subtitle(node, true) : subtitle(node, false)})`,
      };
    }),
    edges: graph.edges.map((edge) => ({
      key: key(edge),
      source: edge.source,
      target: edge.target,
      kind: edge.kind,
      level: level(edge),
      width: width(edge),
      lines: lines(edge, dense),
      brief: lines(edge, false).filter((line) => line.style),
      hint: sentence(edge, names),
    })),
  };
}
