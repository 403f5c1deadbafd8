// The models in the browser: stored tensors, logits, scores, and names drawn as Python draws them.
// tools/report/playground.py packs the tensors; charlm/models/*.py has the same models in Python.

const BLOCK = 64; // the longest context that any model may have
const MAX_COUNT = 3; // counts from here on have the same discount

/** Return the arrays that `pack` of playground.py compressed, by name, each with its shape. */
async function unpack({ arrays, data }) {
  const compressed = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const unpacked = {};
  let offset = 0;
  for (const [name, type, shape] of arrays) {
    const length = shape.reduce((product, size) => product * size, 1);
    unpacked[name] = new globalThis[type](buffer, offset, length);
    unpacked[name].shape = shape;
    offset += unpacked[name].byteLength;
  }
  return unpacked;
}

/** Return one row of a matrix. */
function row(matrix, number) {
  const width = matrix.shape[1];
  return Float64Array.from(matrix.subarray(number * width, (number + 1) * width));
}

/** Return x W + b. */
function affine(x, W, b) {
  const sums = Float64Array.from(b);
  x.forEach((value, input) => {
    const offset = input * sums.length;
    for (let unit = 0; unit < sums.length; unit++) sums[unit] += value * W[offset + unit];
  });
  return sums;
}

/** Return x times the normal distribution function of x, summed as a series of positive terms. */
function gelu(x) {
  if (Math.abs(x) > 8) return Math.max(x, 0);
  let term = x;
  let sum = x;
  for (let n = 3; Math.abs(term) > 1e-18; n += 2) sum += term *= (x * x) / n;
  return x * (0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI));
}

/** Return where a key is in an ascending array, -1 if it is not there. */
function find(keys, key) {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return keys[low] === key ? low : -1;
}

/** Return the log of softmax. */
function logSoftmax(logits) {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - highest), 0);
  return logits.map((logit) => logit - highest - Math.log(sum));
}

// Each form takes the tensors of a model, the number of symbols and the models it is composed of,
// and returns a function from a context, the numbers of the symbols before, to logits.
const FORMS = {
  bigram_count: ({ P }) => (context) => row(P, context.at(-1)).map(Math.log),

  bigram_neural: ({ W }) => (context) => row(W, context.at(-1)),

  mlp(tensors) {
    const { C, W1, direct } = tensors;
    const blockSize = W1.shape[0] / C.shape[1];
    const layers = Object.keys(tensors).filter((name) => name.startsWith("W")).length;
    const activation = tensors.activation?.[0] ? gelu : Math.tanh;
    return (context) => {
      const embedded = context.slice(-blockSize).flatMap((symbol) => [...row(C, symbol)]);
      let x = embedded;
      for (let layer = 1; layer <= layers; layer++) {
        x = affine(x, tensors[`W${layer}`], tensors[`b${layer}`]);
        if (layer < layers) x = x.map(activation);
      }
      return direct ? affine(embedded, direct, x) : x;
    };
  },

  // modified Kneser-Ney: what is taken from the counts goes to the shorter context's probabilities;
  // with k, only the longest contexts have counts, to each of which it is added
  ngram_count(tensors, symbols) {
    const added = (tensors.k?.[0] ?? 0) * symbols;
    const lengths = tensors.D.shape[0];
    const starts = Array.from({ length: lengths }, (_, length) => {
      let sum = 0;
      return [0, ...Array.from(tensors[`ngrams${length}`], (count) => (sum += count))];
    });
    return (context) => {
      let P = new Float64Array(symbols).fill(1 / symbols);
      let known = 0; // the row of the context, without its first symbols
      for (let length = 0; length < lengths; length++) {
        if (length) {
          known = find(tensors[`keys${length}`], known * symbols + context.at(-length));
          if (known < 0) break;
        }
        const [first, last] = starts[length].slice(known, known + 2);
        const counts = tensors[`counts${length}`].subarray(first, last);
        const discount = (count) => tensors.D[4 * length + Math.min(count, MAX_COUNT)];
        const total = counts.reduce((sum, count) => sum + count, added);
        const taken = counts.reduce((sum, count) => sum + discount(count), added);
        P = P.map((p) => p * taken);
        counts.forEach((count, ngram) => {
          P[tensors[`next${length}`][first + ngram]] += count - discount(count);
        });
        P = P.map((p) => p / total);
      }
      return P.map(Math.log);
    };
  },

  // with the symbol before a name, the weights depend on the position in it
  mixture({ start, ...weights }, _symbols, components) {
    const columns = Object.values(weights); // in the order of the components
    return (context) => {
      const position = start ? context.length - 1 - context.lastIndexOf(start[0]) : 0;
      const P = components.map((model) => logSoftmax(model(context)).map(Math.exp));
      const W = columns.map((column) => column[Math.min(position, column.length - 1)]);
      return P[0].map((_, s) => Math.log(W.reduce((sum, weight, i) => sum + weight * P[i][s], 0)));
    };
  },
};

/** Return the models of a page in its order, each with its logits and the NLL of real names. */
async function loadModels({ models, symbols }) {
  const loaded = [];
  for (const { name, label, components, tensors, real } of models) {
    const parts = components.map((other) => loaded.find((model) => model.label === other).logits);
    const logits = FORMS[name](await unpack(tensors), symbols.length, parts);
    loaded.push({ name, label, logits, real: (await unpack(real)).nll });
  }
  return loaded;
}

/** Return the numbers of the characters of a text, and the unique ones that are not symbols. */
function encode(text, { symbols, start, end }) {
  const numbers = new Map(symbols.map((symbol, number) => [symbol, number]));
  for (const boundary of [start, end]) numbers.delete(symbols[boundary]);
  const characters = [...text.normalize("NFC")];
  const unknown = [...new Set(characters.filter((character) => !numbers.has(character)))];
  return { unknown, numbers: characters.map((character) => numbers.get(character)) };
}

/** Return the log-probabilities of every symbol after a beginning. */
function next(logits, numbers, { start }) {
  return logSoftmax(logits([...new Array(BLOCK).fill(start), ...numbers]));
}

/** Return the log-probability of each character of a name, and of its end. */
function score(logits, numbers, vocabulary) {
  return [...numbers, vocabulary.end].map(
    (symbol, position) => next(logits, numbers.slice(0, position), vocabulary)[symbol],
  );
}

/** Return torch's generator of uniform doubles: the Mersenne Twister of Matsumoto & Nishimura. */
function uniform(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) {
    state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  }
  let used = 624;
  const word = () => {
    if (used === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      used = 0;
    }
    let y = state[used++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
  // 53 bits of two words, the first one on the left
  return () => ((word() & 0x1fffff) * 2 ** 32 + word()) / 2 ** 53;
}

/** Return the probabilities to draw with: without the start, of the topK largest logits or all. */
function temper(logits, { temperature, topK }, { start, end }) {
  const allowed = Float64Array.from(logits);
  if (start !== end) allowed[start] = -Infinity;
  const least = topK ? allowed.slice().sort().at(-topK) : -Infinity;
  const kept = allowed.map((logit) => (logit < least ? -Infinity : logit));
  return logSoftmax(logSoftmax(kept).map((log) => log / temperature)).map(Math.exp);
}

/** Return the symbol that a chance, from 0 to 1, draws from logits. */
function draw(logits, chance, settings, vocabulary) {
  let sum = 0;
  const cumulative = temper(logits, settings, vocabulary).map((p) => (sum += p));
  return cumulative.findIndex((below) => below > chance * sum);
}

/** Return names as charlm/sampling.py draws them with these settings. */
function drawNames(logits, vocabulary, settings) {
  const { seed, count, maxLength, prefix } = settings;
  const random = uniform(seed);
  const names = Array.from({ length: count }, () => [...prefix]);
  const ended = new Set();
  for (let length = prefix.length; length < maxLength && ended.size < count; length++) {
    names.forEach((name, number) => {
      const chance = random(); // also for names that have ended: a draw depends on no other name
      if (ended.has(number)) return;
      const context = [...new Array(BLOCK).fill(vocabulary.start), ...name];
      const symbol = draw(logits(context), chance, settings, vocabulary);
      if (symbol === vocabulary.end) ended.add(number);
      else name.push(symbol);
    });
  }
  const texts = names.map((name) => name.map((symbol) => vocabulary.symbols[symbol]).join(""));
  return texts.map((text, number) => (ended.has(number) ? text : text.trimEnd()));
}

globalThis.charlm = { unpack, loadModels, encode, next, score, temper, drawNames };
