// Never ends, whatever it is told.
process.on('SIGTERM', () => console.log('no'));
console.log('started');
setInterval(() => {}, 1000);
