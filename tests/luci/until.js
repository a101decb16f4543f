'use strict';
// Waiting for a condition: nothing here sleeps for a time in the hope that it is enough.

// In milliseconds; long, so that a busy machine fails no test. A test that succeeds does not wait for it.
const PATIENCE = 1000 * Number(process.env.OWSYNC_TEST_PATIENCE ?? 40);

async function until(what, holds, patience = PATIENCE) {
	const end = Date.now() + patience;
	for (;;) {
		const found = await holds();
		if (found)
			return found;
		if (Date.now() > end)
			throw new Error(`waited in vain: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 30));
	}
}

module.exports = { until, PATIENCE };
