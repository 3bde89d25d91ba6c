// Draws what /dotgraph says.

import { Picture } from './picture.js';
import { edgeOf, modelOf, nodeOf, say, withQuery } from './servicegraph.js';

const ESCAPES = { n: '\n' };
const STRING = '"((?:[^"\\\\]|\\\\.)*)"';
const EDGE = new RegExp(`^${STRING} -> ${STRING} \\[label=${STRING}\\];$`);
const NODE = new RegExp(`^${STRING} \\[label=${STRING}\\];$`);

const plain = (text) => text.replace(/\\(.)/g, (_, escaped) => ESCAPES[escaped] ?? escaped);

/** Of dot, what /dotgraph uses. */
export function parse(dot) {
  const [nodes, edges] = [[], []];
  for (const line of dot.split('\n')) {
    const edge = EDGE.exec(line);
    const node = edge ? null : NODE.exec(line);
    if (edge) {
      const [source, target, label] = edge.slice(1).map(plain);
      const labels = Object.fromEntries(label.split(', ').map((part) => part.split(': ')));
      edges.push(edgeOf(`${source} ${target} ${edges.length}`, source, target, labels));
    } else if (node) {
      const [id, label] = node.slice(1).map(plain);
      nodes.push(nodeOf(id, label));
    }
  }
  return modelOf(nodes, edges);
}

try {
  const response = await fetch(withQuery('/dotgraph'));
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const model = parse(text);
  if (!model.nodes.length) say('No traffic yet that a stats filter has seen.');
  new Picture(document.getElementById('picture')).show(model);
  document.body.dataset.state = 'ready';
} catch (error) {
  say(error.message);
  document.body.dataset.state = 'failed';
}
