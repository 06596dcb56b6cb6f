// What the graph can show of targets (size, colour) and of pairs of targets (edges).

const PUBLISHED_SHARE = 5 / 12; // 125 of 300 edges, as the published page shows at first
const NORMALISATIONS = { value: "by value", rank: "by rank" };

/** Return the measures that there are for the chosen series; those of labels are the same for all. */
function measuresOf(entries) {
  return (entries ?? []).filter((entry) => entry.series === null || entry.series === choice.series);
}

/** Return a measure by its name, or the first where the chosen series has none of that name; null where it has none. */
function measureNamed(entries, name) {
  const found = measuresOf(entries);
  return found.find((measure) => measure.name === name) ?? found[0] ?? null;
}

/** Return numbers as shares from 0 to 1: by value or by rank; null where one is not known. */
function normalised(values, how) {
  const known = values.filter((value) => value !== null);
  const [low, high] = d3.extent(known);
  const ranked = d3.sort(new Set(known));
  const share = {
    value: (value) => (high > low ? (value - low) / (high - low) : 1),
    rank: (value) => (ranked.length > 1 ? d3.bisectLeft(ranked, value) / (ranked.length - 1) : 1),
  }[how];
  return values.map((value) => (value === null ? null : share(value)));
}

/** Return how many edges a share of a measure's edges is; one at least, unless none are wanted. */
function numEdges(measure, share) {
  return share > 0 ? Math.max(1, Math.round(measure.strength.length * share)) : 0;
}

/** Return the strongest edges of a measure as links of d3, each with its strength and how strong it is among them. */
function strongestLinks(measure, share, how) {
  if (!measure) return [];
  const number = numEdges(measure, share);
  const strengths = measure.strength.slice(0, number);
  const relative = normalised(strengths, how);
  return strengths.map((strength, edge) => ({
    source: measure.one[edge], target: measure.other[edge], strength, relative: relative[edge], text: strengthText(measure, edge),
  }));
}

/** Return how strong an edge is, as text. Equal targets have a strength to be drawn by, which is no number of theirs. */
function strengthText(measure, edge) {
  return edge < measure.num_equal ? "equal profiles" : numberText(measure.strength[edge]);
}

/** Return the neighbours of a target among some links, the nearest first. */
function neighboursOf(target, links) {
  return links
    .filter((link) => link.source.index === target || link.target.index === target)
    .map((link) => ({
      target: link.source.index === target ? link.target.index : link.source.index, text: link.text,
    }));
}

/** Return what nodes can be coloured by: {value, title, groups: group of each target, names}. */
function groupings() {
  const byDomain = { value: "domain", title: "domain", groups: targets.map(({ domain }) => domain), names: domains };
  const levels = content.communities?.levels ?? [];
  const byCommunity = levels.map((groups, level) => {
    const number = new Set(groups).size;
    const names = d3.range(d3.max(groups) + 1).map((group) => `community ${group + 1}`);
    return { value: `level-${level}`, title: `${number} communities`, groups, names };
  });
  return [byDomain, ...byCommunity];
}

/** Return what nodes can be coloured by under a name, or the first where there is none of that name. */
function groupingNamed(name) {
  const found = groupings();
  return found.find(({ value }) => value === name) ?? found[0];
}
