// The recording of a call: two lanes drawn from its waveform, played beside the transcript.

const player = document.getElementById("player");
if (player) start();

async function start() {
  const audio = document.getElementById("audio");
  const canvas = document.getElementById("waveform");
  const play = document.getElementById("play");
  const seek = document.getElementById("seek");
  const position = document.getElementById("position");
  const turns = [...document.querySelectorAll(".turn")];
  let lanes = null;

  function show() {
    const total = audio.duration || 0;
    position.textContent = `${clock(audio.currentTime)} / ${clock(total)}`;
    if (total && document.activeElement !== seek) seek.value = String((1000 * audio.currentTime) / total);
    const nowMs = 1000 * audio.currentTime;
    const current = audio.currentTime > 0 ? turns.filter((turn) => Number(turn.dataset.at) <= nowMs).at(-1) : undefined;
    turns.forEach((turn) => turn.classList.toggle("now", turn === current));
    if (lanes) draw(canvas, lanes, total ? audio.currentTime / total : 0);
  }
  function follow() {
    show();
    if (!audio.paused) requestAnimationFrame(follow);
  }
  function goTo(seconds) {
    audio.currentTime = seconds;
    show();
  }

  play.addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", show);
  audio.addEventListener("loadedmetadata", show);
  for (const happened of ["play", "pause", "ended"]) {
    audio.addEventListener(happened, () => {
      play.setAttribute("aria-pressed", String(!audio.paused));
      play.setAttribute("aria-label", audio.paused ? "Play the recording" : "Pause");
      show();
    });
  }
  seek.addEventListener("input", () => goTo((Number(seek.value) / 1000) * (audio.duration || 0)));
  canvas.addEventListener("click", (event) => goTo((event.offsetX / canvas.clientWidth) * (audio.duration || 0)));
  turns.forEach((turn) =>
    turn.querySelector(".at").addEventListener("click", () => {
      goTo(Number(turn.dataset.at) / 1000);
      audio.play();
    }),
  );
  new ResizeObserver(show).observe(canvas);

  const answer = await fetch(player.dataset.waveform);
  if (!answer.ok) return;
  lanes = Object.values((await answer.json()).lanes);
  show();
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function draw(canvas, lanes, played) {
  const style = getComputedStyle(canvas);
  const colours = [style.getPropertyValue("--warm"), style.getPropertyValue("--accent")];
  const scale = devicePixelRatio;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const bar = 3 * scale;
  const gap = scale;
  const laneHeight = height / lanes.length;
  lanes.forEach((lane, index) => {
    const middle = laneHeight * (index + 0.5);
    const bars = Math.floor(width / (bar + gap));
    pen.fillStyle = colours[index % colours.length];
    for (let i = 0; i < bars; i += 1) {
      let peak = 0;
      const end = Math.floor(((i + 1) * lane.length) / bars);
      for (let n = Math.floor((i * lane.length) / bars); n < end; n += 1) peak = Math.max(peak, lane[n]);
      const tall = Math.max(scale, (peak / 100) * (laneHeight * 0.46));
      pen.globalAlpha = i / bars <= played ? 1 : 0.38;
      pen.fillRect(i * (bar + gap), middle - tall, bar, 2 * tall);
    }
  });
  pen.globalAlpha = 1;
  pen.fillStyle = style.getPropertyValue("--ink");
  if (played > 0) pen.fillRect(Math.round(played * width), 0, 2 * scale, height);
}
