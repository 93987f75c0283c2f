// Fails, and says why.
console.log('reading data');
console.error('ValueError: the data is not what I thought');
process.exitCode = 1;
