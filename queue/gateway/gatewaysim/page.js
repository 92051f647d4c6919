// Keeps the part of the page that changes up to date; the form stays as it is.
"use strict";
(async () => {
	const pause = document.getElementById("pause");
	for (;;) {
		await new Promise((done) => setTimeout(done, 3000));
		if (pause.checked || document.hidden) continue;
		try {
			const answer = await fetch("/sim/", { headers: { Accept: "text/html" } });
			const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
			document.getElementById("live").replaceWith(fresh.getElementById("live"));
			document.body.classList.remove("stale");
		} catch {
			document.body.classList.add("stale");
		}
	}
})();
