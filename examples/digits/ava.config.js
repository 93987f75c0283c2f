// The tests train for real, on data that they make first.
export default { timeout: '2m' };
