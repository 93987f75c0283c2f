// @ts-check

import { drawing } from './drawing.js';
import { classify, keepKey, keptKey, networkInUse, store } from './service.js';

/** After a stroke it is waited for another one, in milliseconds. */
const PAUSE_MS = 300;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 */
function part(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`The page has no ${id}.`);
}

const input = (/** @type {string} */ id) => part(id, HTMLInputElement);
const canvas = part('canvas', HTMLCanvasElement);
const problem = part('problem', HTMLElement);
const says = part('says', HTMLElement);
const bars = part('bars', HTMLElement);

/** The picture as it was chosen; undefined where it is what is drawn. @type {Blob | undefined} */
let chosen;
/** Counts what was asked: an answer that comes late is not shown. */
let asked = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let pause;

const pad = drawing(canvas, {
  width: () => input('pen').valueAsNumber,
  changed: () => {
    chosen = undefined;
    soon();
  },
  cleared: nothing,
});

async function picture() {
  return chosen ?? (await pad.picture());
}

/** @param {() => Promise<void>} work */
async function telling(work) {
  try {
    problem.hidden = true;
    await work();
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
    problem.hidden = false;
  }
}

function nothing() {
  clearTimeout(pause);
  chosen = undefined;
  asked += 1;
  says.textContent = 'Nothing is classified yet.';
  bars.replaceChildren();
  part('network', HTMLElement).textContent = '';
}

function soon() {
  clearTimeout(pause);
  if (keptKey() !== undefined) pause = setTimeout(() => void telling(show), PAUSE_MS);
}

async function show() {
  clearTimeout(pause);
  asked += 1;
  const own = asked;
  const { category, probabilities, network, ms } = await classify(await picture());
  if (own !== asked) return;
  const likeliest = Math.max(...probabilities.map(({ probability }) => probability));
  says.textContent = `${category}, ${percent(likeliest)}`;
  bars.replaceChildren(...probabilities.map(bar));
  part('network', HTMLElement).textContent =
    `Network of training ${network.training}, ${percent(network.accuracy)} of held-out pictures right, ` +
    `weights ${network.digest.slice(0, 12)}; ${Math.round(ms)} ms.`;
  suggest(probabilities.map((one) => one.category));
}

/** @param {{ category: string, probability: number }} of */
function bar({ category, probability }) {
  const row = document.createElement('li');
  const [name, share] = [document.createElement('span'), document.createElement('span')];
  const value = document.createElement('progress');
  name.textContent = category;
  name.title = category;
  value.value = probability;
  value.setAttribute('aria-label', category);
  share.textContent = percent(probability);
  row.append(name, value, share);
  return row;
}

/** @param {number} part */
function percent(part) {
  return `${(part * 100).toFixed(1)} %`;
}

/** @param {readonly string[]} categories */
function suggest(categories) {
  const options = categories.map((category) => {
    const option = document.createElement('option');
    option.value = category;
    return option;
  });
  part('categories', HTMLElement).replaceChildren(...options);
}

/** @param {File | null | undefined} file */
async function take(file) {
  if (file === null || file === undefined) return;
  if (!/^image\/(?:png|jpeg)$/.test(file.type)) throw new Error(`${file.name} is no PNG and no JPEG.`);
  const shown = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} cannot be read as a picture.`);
  });
  nothing();
  pad.show(shown);
  chosen = file;
  if (keptKey() !== undefined) await show();
}

async function start() {
  const key = keptKey();
  part('forget', HTMLButtonElement).hidden = key === undefined;
  if (key === undefined) return;
  input('key').value = '';
  input('key').placeholder = 'in use';
  const network = await networkInUse();
  if (network === undefined) {
    says.textContent = 'No network is in use yet: store pictures, and order a training.';
    return;
  }
  suggest(network.categories ?? []);
  input('width').valueAsNumber = network.width ?? 28;
  input('height').valueAsNumber = network.height ?? 28;
}

part('key-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  keepKey(input('key').value);
  void telling(start);
});
part('forget', HTMLButtonElement).addEventListener('click', () => {
  keepKey(undefined);
  input('key').placeholder = '';
  void telling(start);
});
part('clear', HTMLButtonElement).addEventListener('click', () => {
  pad.clear();
  nothing();
});
part('classify', HTMLButtonElement).addEventListener('click', () => void telling(show));
input('file').addEventListener('change', () => {
  void telling(async () => await take(input('file').files?.[0]));
  input('file').value = '';
});
part('store-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const category = input('category').value;
  part('stored', HTMLElement).textContent = '';
  void telling(async () => {
    const about = {
      ...{ name: input('set').value, category },
      ...{ width: input('width').valueAsNumber, height: input('height').valueAsNumber },
    };
    await store(await picture(), about);
    part('stored', HTMLElement).textContent = `Stored as ${category}.`;
  });
});

const drop = part('drop', HTMLElement);
for (const name of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', name === 'dragenter' || name === 'dragover');
  });
}
document.addEventListener('drop', (event) => {
  void telling(async () => await take(event.dataTransfer?.files[0]));
});

void telling(start);
