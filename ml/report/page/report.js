// Draws each chart in place of its still picture when it comes near the screen, in the colours of the reader's theme.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return { ink: style.getPropertyValue("--ink").trim(), line: style.getPropertyValue("--line").trim() };
  };
  const axes = (layout, { ink, line }) => {
    const result = {};
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name)).concat(["xaxis", "yaxis"])) {
      result[key] = Object.assign({}, layout[key], { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true });
    }
    return result;
  };
  // Rings are as high as wide: a phone would show them in the middle of an empty page.
  const fitted = (element, data, layout) =>
    data.some((trace) => trace.type === "sunburst")
      ? { height: Math.min(layout.height, element.clientWidth), margin: { l: 4, r: 4, t: 4, b: 4 } }
      : {};
  const inked = (data) => data.map((trace) => (trace.error_x && trace.type === "bar"
    ? Object.assign({}, trace, { error_x: Object.assign({}, trace.error_x, { color: colours().ink }) })
    : trace));
  const themed = (layout) => {
    const c = colours();
    return Object.assign({}, layout, axes(layout, c), {
      template: {}, title: undefined, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: c.ink, family: "system-ui, sans-serif" },
      margin: { l: 55, r: 15, t: 30, b: 55 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, hoverlabel: { namelength: -1 }, autosize: true,
    });
  };
  // On a phone, names of museums would leave no room for their bars: they are cut there, and whole under the finger.
  const NARROW = 560, SHORT = 16;
  const shortened = (element, data, layout) => {
    const bars = data.filter((trace) => trace.orientation === "h");
    if (bars.length === 0) return layout;
    const names = bars.flatMap((trace) => trace.y);
    const cut = (name) => (name.length > SHORT ? `${name.slice(0, SHORT - 1)}…` : name);
    const narrow = element.clientWidth < NARROW ? { tickvals: names, ticktext: names.map(cut) } : {};
    return Object.assign({}, layout, { yaxis: Object.assign({}, layout.yaxis, { title: undefined }, narrow) });
  };
  const draw = (element) => {
    const { data, layout } = JSON.parse(document.getElementById(element.dataset.figure).textContent);
    element.parentElement.classList.add("drawn");
    element.style.minHeight = "";
    const shown = Object.assign(themed(shortened(element, data, layout)), fitted(element, data, layout));
    Plotly.react(element, inked(data), shown, { responsive: true, displaylogo: false, displayModeBar: false });
  };
  const charts = [...document.querySelectorAll(".chart")];
  const drawn = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const chart = target.querySelector(".chart");
      if (isIntersecting && !drawn.has(chart)) { drawn.add(chart); draw(chart); }
    }
  }, { rootMargin: "400px" });
  charts.forEach((chart) => observer.observe(chart.parentElement));
  dark.addEventListener("change", () => drawn.forEach((chart) => draw(chart)));
  // Paper shows all of the page; the still pictures stand for the charts.
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
})();
