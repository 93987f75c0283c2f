// Takes memory until it is stopped.
const held = [];
setInterval(() => {
  if (held.length < 400) held.push(Buffer.alloc(16 * 2 ** 20, 1));
}, 10);
