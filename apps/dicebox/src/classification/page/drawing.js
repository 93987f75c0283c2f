// @ts-check

/** How far a key moves the pen, in pixels of the canvas. */
const STEP = 10;
/** @type {Readonly<Record<string, readonly [number, number]>>} */
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/**
 * A canvas to draw on in white on black, as the pictures of the data sets are, by pointer and by keyboard. `changed` is called
 * after each stroke, `cleared` when nothing is left.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {{ width: () => number, changed: () => void, cleared: () => void }} options
 */
export function drawing(canvas, { width, changed, cleared }) {
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('This browser has no canvas.');
  /** @type {{ x: number, y: number }} */
  let at = { x: canvas.width / 2, y: canvas.height / 2 };
  let isDown = false;

  const clear = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    isDown = false;
    tell();
  };

  /** @param {{ x: number, y: number }} to */
  const lineTo = (to) => {
    context.strokeStyle = '#fff';
    context.lineWidth = width();
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.beginPath();
    context.moveTo(at.x, at.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    at = to;
  };

  /** @param {PointerEvent} event */
  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * canvas.width,
      y: ((event.clientY - box.top) / box.height) * canvas.height,
    };
  };

  /** Who sees nothing of the canvas hears where the pen is. */
  const tell = () => {
    const [x, y] = [Math.round(at.x / STEP), Math.round(at.y / STEP)];
    canvas.setAttribute('aria-label', `Drawing area, pen ${isDown ? 'down' : 'up'} at column ${x}, row ${y}`);
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    isDown = true;
    at = placeOf(event);
    lineTo({ x: at.x + 0.01, y: at.y });
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    // What came between two frames as well: a quick stroke stays round.
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length > 0 ? all : [event]) lineTo(placeOf(one));
  });
  for (const end of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(end, () => {
      if (!isDown) return;
      isDown = false;
      tell();
      changed();
    });
  }
  canvas.addEventListener('keydown', (event) => {
    const [x, y] = ARROWS[event.key] ?? [0, 0];
    if (event.key === ' ') {
      isDown = !isDown;
      if (isDown) lineTo({ x: at.x + 0.01, y: at.y });
      else changed();
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      clear();
      cleared();
    } else if (x !== 0 || y !== 0) {
      const to = {
        x: Math.min(canvas.width, Math.max(0, at.x + x)),
        y: Math.min(canvas.height, Math.max(0, at.y + y)),
      };
      if (isDown) lineTo(to);
      at = to;
    } else return;
    event.preventDefault();
    tell();
  });
  clear();

  return {
    clear,
    /**
     * Shows a picture in place of what was drawn; it fills the canvas, as it will fill what a network takes.
     *
     * @param {ImageBitmap} picture
     */
    show(picture) {
      clear();
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    },
    /** What is drawn, as a PNG. */
    async picture() {
      /** @type {Blob | null} */
      const blob = await new Promise((resolve) => {
        canvas.toBlob(resolve, 'image/png');
      });
      if (blob === null) throw new Error('This browser gave no PNG.');
      return blob;
    },
  };
}
