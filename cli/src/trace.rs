//! `cargo airglow trace`: a picture of a TCP connection over time, from the lines that the stack's trace prints.
use crate::failure::{self, Context, Failure};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

/// Which trace, and where the picture goes.
#[derive(clap::Args)]
#[command(
    after_help = "Example: cargo run -p airglow-platform-sim --example bottleneck > bottleneck.trace\n\
    then: cargo airglow trace bottleneck.trace\n\
    A line of a trace: connection, microseconds, state, congestion window, slow-start threshold, in flight, round trip (us), lost, sent again"
)]
pub struct Arguments {
    /// The file with the lines of a trace
    file: PathBuf,
    /// The connection to draw, as in the first column; the one with the most lines by default
    #[arg(long)]
    connection: Option<String>,
    /// Where to write the SVG; beside the file by default
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Reads, draws, and says where.
pub fn trace(arguments: &Arguments) -> failure::Result {
    let text = std::fs::read_to_string(&arguments.file).context(arguments.file.display())?;
    let chosen = read(&text).and_then(|samples| choose(samples, arguments.connection.as_deref()));
    let (connection, samples) =
        chosen.map_err(|wrong| Failure::new(format!("{}: {wrong}", arguments.file.display())))?;
    let output = arguments.output.clone().unwrap_or_else(|| arguments.file.with_extension("svg"));
    let name = arguments.file.file_name().unwrap_or(arguments.file.as_os_str()).to_string_lossy();
    std::fs::write(&output, draw(&format!("{name}, connection {connection}"), &samples))
        .context(output.display())?;
    println!("{} samples: {}", samples.len(), Path::new(&output).display());
    Ok(())
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    connection: String,
    /// Seconds.
    at: f64,
    state: String,
    /// Bytes.
    window: f64,
    /// Bytes, once there was congestion.
    threshold: Option<f64>,
    in_flight: f64,
    /// Milliseconds, once measured.
    round_trip: Option<f64>,
    lost: u32,
    again: u32,
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let connection = words.next()?.to_owned();
        let micros: u64 = words.next()?.parse().ok()?;
        let state = words.next()?.to_owned();
        let mut number = || words.next()?.parse::<u32>().ok();
        let (window, threshold, in_flight, round_trip) = (number()?, number()?, number()?, number()?);
        let (lost, again) = (number()?, number()?);
        let sample = Self {
            connection,
            at: micros as f64 / 1e6,
            state,
            window: window.into(),
            threshold: (threshold < u32::MAX).then(|| threshold.into()),
            in_flight: in_flight.into(),
            round_trip: (round_trip > 0).then(|| f64::from(round_trip) / 1e3),
            lost,
            again,
        };
        words.next().is_none().then_some(sample)
    }
}

/// All lines; empty ones and those that begin with `#` mean nothing.
fn read(text: &str) -> Result<Vec<Sample>, String> {
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            Sample::parse(line).ok_or_else(|| format!("line {} is none of a trace: {line}", number + 1))
        })
        .collect()
}

/// The samples of the connection that was asked for, or of the one with the most.
fn choose(samples: Vec<Sample>, wanted: Option<&str>) -> Result<(String, Vec<Sample>), String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for sample in &samples {
        match counts.iter_mut().find(|(name, _)| *name == sample.connection) {
            Some((_, count)) => *count += 1,
            None => counts.push((&sample.connection, 1)),
        }
    }
    let found = match wanted {
        Some(wanted) => counts.iter().find(|(name, _)| *name == wanted),
        None => counts.iter().max_by_key(|(_, count)| *count),
    };
    let Some((name, _)) = found else {
        let names: Vec<_> = counts.iter().map(|(name, _)| *name).collect();
        return Err(format!("no such connection in the trace; there are: {}", names.join(" ")));
    };
    let name = (*name).to_owned();
    let samples = samples.into_iter().filter(|sample| sample.connection == name).collect();
    Ok((name, samples))
}

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 980.0;
/// Where the windows are drawn, and where the round trip is.
const WINDOWS: (f64, f64) = (60.0, 360.0);
const ROUND_TRIP: (f64, f64) = (400.0, 540.0);
const HEIGHT: f64 = 580.0;

const STYLE: &str = "svg{background:#fff;color:#222;font:13px sans-serif}text{fill:currentColor}\
    .grid{stroke:currentColor;stroke-opacity:.15}path{fill:none;stroke-width:1.5}.window{stroke:#1769aa}.flight{stroke:#2e8b57;stroke-width:1}\
    .threshold{stroke:#888;stroke-dasharray:4 3}.rtt{stroke:#8a4fbf}.lost{stroke:#c62828}.again{stroke:#e08e0b}\
    @media(prefers-color-scheme:dark){svg{background:#111;color:#ddd}}";

/// What is drawn of a sample.
type Value = fn(&Sample) -> Option<f64>;

/// A scale from values to places in the picture.
struct Scale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let share = (value - self.least) / (self.most - self.least).max(f64::MIN_POSITIVE);
        self.from + share * (self.to - self.from)
    }

    /// Round values, at most ten.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let span = (self.most - self.least).max(f64::MIN_POSITIVE);
        let unit = 10_f64.powf((span / 10.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * unit).into_iter().find(|step| span / step <= 10.0);
        let step = step.unwrap_or(span);
        let (first, most) = ((self.least / step).ceil(), self.most);
        (0..=10).map(move |n| (first + f64::from(n)) * step).take_while(move |tick| *tick <= most)
    }
}

/// The whole picture: windows and flight with losses above, the round trip below.
fn draw(title: &str, samples: &[Sample]) -> String {
    let ends = (samples.first().map_or(0.0, |s| s.at), samples.last().map_or(1.0, |s| s.at));
    let time = Scale { least: ends.0, most: ends.1.max(ends.0 + 1e-6), from: LEFT, to: RIGHT };
    // A threshold far above all windows would press them to the ground.
    let most = samples.iter().map(|s| s.window.max(s.in_flight)).fold(1.0, f64::max) * 1.05;
    let bytes = Scale { least: 0.0, most, from: WINDOWS.1, to: WINDOWS.0 };
    let slowest = samples.iter().filter_map(|s| s.round_trip).fold(0.001, f64::max) * 1.05;
    let millis = Scale { least: 0.0, most: slowest, from: ROUND_TRIP.1, to: ROUND_TRIP.0 };

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{0}</title><style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{0}</text>\n",
        escaped(title)
    );
    axis(&mut svg, &bytes, "kB", 1000.0);
    axis(&mut svg, &millis, "ms", 1.0);
    for tick in time.ticks() {
        let x = time.at(tick);
        put(&mut svg, format_args!("<path class=\"grid\" d=\"M{x:.1} {} V{}\"/>", WINDOWS.0, ROUND_TRIP.1));
        put(
            &mut svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{} s</text>",
                ROUND_TRIP.1 + 20.0,
                short(tick)
            ),
        );
    }
    let mut marks = |class: &str, y: (f64, f64), count: fn(&Sample) -> u32| {
        let mut d = String::new();
        for pair in samples.windows(2) {
            if let [before, after] = pair
                && count(after) > count(before)
            {
                let _ = write!(d, "M{:.1} {} V{} ", time.at(after.at), y.0, y.1);
            }
        }
        put(&mut svg, format_args!("<path class=\"{class}\" d=\"{}\"/>", d.trim_end()));
    };
    marks("lost", (WINDOWS.0, WINDOWS.0 + 14.0), |s| s.lost);
    marks("again", (WINDOWS.1 - 10.0, WINDOWS.1), |s| s.again);
    let curves: [(&str, &Scale, Value); 4] = [
        ("threshold", &bytes, |s| s.threshold),
        ("flight", &bytes, |s| Some(s.in_flight)),
        ("window", &bytes, |s| Some(s.window)),
        ("rtt", &millis, |s| s.round_trip),
    ];
    for (class, scale, value) in curves {
        let path = steps(samples, &time, scale, value);
        put(&mut svg, format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }
    let totals = samples.last().map_or((0, 0), |s| (s.lost, s.again));
    let legend = [
        ("window", "congestion window".to_owned()),
        ("flight", "in flight".to_owned()),
        ("threshold", "slow-start threshold".to_owned()),
        ("rtt", "smoothed round trip".to_owned()),
        ("lost", format!("{} lost", totals.0)),
        ("again", format!("{} sent again", totals.1)),
    ];
    let mut x = LEFT;
    for (class, text) in &legend {
        put(
            &mut svg,
            format_args!(
                "<path class=\"{class}\" d=\"M{x} 38 h20\"/><text x=\"{}\" y=\"42\">{text}</text>",
                x + 26.0
            ),
        );
        // As wide as the words and the gap after them.
        x += 50.0 + 7.5 * text.len() as f64;
    }
    let mut state = "";
    for sample in samples.iter().filter(|sample| std::mem::replace(&mut state, &sample.state) != sample.state)
    {
        put(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{}\" font-size=\"11\">{}</text>",
                time.at(sample.at),
                ROUND_TRIP.0 - 14.0,
                escaped(&sample.state)
            ),
        );
    }
    svg + "</svg>\n"
}

/// Lines and numbers of a scale, in units of `unit`.
fn axis(svg: &mut String, scale: &Scale, name: &str, unit: f64) {
    for tick in scale.ticks() {
        let y = scale.at(tick);
        put(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1} H{RIGHT}\"/>"));
        put(
            svg,
            format_args!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{} {name}</text>",
                LEFT - 6.0,
                y + 4.0,
                short(tick / unit)
            ),
        );
    }
}

/// A value stands until the next sample: a path of steps. What is off the scale stops at its end; steps smaller than a tenth of a
/// point are left out.
fn steps(samples: &[Sample], time: &Scale, scale: &Scale, value: impl Fn(&Sample) -> Option<f64>) -> String {
    let (mut d, mut last) = (String::new(), None);
    for sample in samples {
        let Some(value) = value(sample) else { continue };
        let (x, y) = (time.at(sample.at), scale.at(value.min(scale.most)));
        let (x, y) = (format!("{x:.1}"), format!("{y:.1}"));
        let _ = match &last {
            None => write!(d, "M{x} {y}"),
            Some((_, before)) if *before == y => continue,
            Some((before, _)) if *before == x => write!(d, "V{y}"),
            Some(_) => write!(d, "H{x}V{y}"),
        };
        last = Some((x, y));
    }
    if last.is_some() {
        let _ = write!(d, "H{:.1}", time.at(time.most));
    }
    d
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(svg, "{line}");
}

/// With as many decimals as are needed, at most three.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "# a comment\n\
        0.1 1000000 Established 10000 4294967295 0 0 0 0\n\
        0.1 1100000 Established 20000 4294967295 15000 50000 0 0\n\
        7.2 1150000 SynSent 1000 4294967295 0 0 0 0\n\
        0.1 1200000 Established 10000 10000 20000 60000 1 0\n\
        0.1 2000000 FinWait1 12000 10000 0 55500 1 2\n";

    #[test]
    fn lines_are_read_and_a_wrong_one_is_named() {
        let samples = read(LINES).unwrap();
        assert_eq!(samples.len(), 5);
        assert_eq!((samples[0].at, samples[0].threshold, samples[0].round_trip), (1.0, None, None));
        assert_eq!(
            (samples[4].threshold, samples[4].round_trip, samples[4].again),
            (Some(10_000.0), Some(55.5), 2)
        );
        for wrong in [
            "0.1 12 Established 1 2 3 4 5",
            "0.1 12 Established 1 2 3 4 5 6 7",
            "0.1 x Established 1 2 3 4 5 6",
        ] {
            let error = read(&format!("{LINES}{wrong}")).unwrap_err();
            assert!(error.contains("line 7"), "{error}");
        }
        let (name, chosen) = choose(samples.clone(), None).unwrap();
        assert_eq!((name.as_str(), chosen.len()), ("0.1", 4));
        assert_eq!(choose(samples.clone(), Some("7.2")).unwrap().1.len(), 1);
        assert!(choose(samples, Some("9.9")).unwrap_err().contains("0.1 7.2"));
    }

    #[test]
    fn the_picture_shows_what_the_samples_say() {
        let (_, samples) = choose(read(LINES).unwrap(), None).unwrap();
        let svg = draw("a<b", &samples);
        assert!(svg.contains("<title>a&lt;b</title>"));
        // The window starts at 10 of 21 kB, doubles after a tenth of the time, halves, and grows a little; it stands to the end.
        assert!(
            svg.contains(
                "<path class=\"window\" d=\"M80.0 217.1H170.0V74.3H260.0V217.1H980.0V188.6H980.0\"/>"
            ),
            "{svg}"
        );
        assert!(svg.contains("<path class=\"lost\" d=\"M260.0 60 V74\"/>"), "{svg}");
        assert!(svg.contains("<path class=\"again\" d=\"M980.0 350 V360\"/>"), "{svg}");
        assert!(
            svg.contains(">1 lost<") && svg.contains(">2 sent again<") && svg.contains(">FinWait1<"),
            "{svg}"
        );
        assert!(svg.contains(">20 kB<") && svg.contains(">1.5 s<") && svg.contains(">60 ms<"), "{svg}");
        for empty in [&[][..], &samples[..1]] {
            assert!(draw("", empty).ends_with("</svg>\n") && !draw("", empty).contains("NaN"));
        }
    }

    /// A real connection through a real bottleneck: the picture of it has its sawtooth.
    #[test]
    fn a_simulated_connection_becomes_a_picture() {
        use airglow_device::{Listener, Platform, Read, Stream, Tcp, Write};
        use airglow_platform_sim::Simulation;
        let simulation = Simulation::new(1);
        let lan = simulation.segment("lan");
        let (sender, receiver) = (simulation.host("sender", ""), simulation.host("receiver", ""));
        sender.plug(&lan, "ipv4=10.0.0.1/24 delay=20ms rate=10mbit queue=40");
        receiver.plug(&lan, "ipv4=10.0.0.2/24");
        receiver.run(async |machine| {
            let listener = machine.tcp().listen(80).await.map_err(|e| e.to_string())?;
            let mut stream = listener.accept().await.map_err(|e| e.to_string())?;
            while let Ok(1..) = stream.read(&mut [0; 9000]).await {}
            Ok(())
        });
        sender.run(async |machine| {
            let mut stream =
                machine.tcp().connect(([10, 0, 0, 2], 80).into()).await.map_err(|e| e.to_string())?;
            stream.set_trace(true);
            stream.write_all(&vec![7; 5_000_000]).await.map_err(|e| e.to_string())?;
            stream.close().await.map_err(|e| e.to_string())
        });
        assert_eq!(simulation.block_on(receiver.ended()), Ok(()));
        let (_, samples) = choose(read(&sender.trace()).unwrap(), None).unwrap();
        assert!(samples.len() > 500 && samples.iter().any(|s| s.lost > 0));
        let svg = draw("sawtooth", &samples);
        assert_eq!(svg.matches("<path").count(), svg.matches("/>").count());
        // Each loss brings the window down.
        let falls = samples.windows(2).filter(|pair| pair[1].window < 0.8 * pair[0].window).count();
        assert!((2..40).contains(&falls), "{falls} falls");
        // The line takes 40 ms, and a full queue another 48.
        let round_trips = samples.iter().filter_map(|s| s.round_trip);
        let bounds = round_trips.fold((f64::MAX, 0.0), |(a, b), ms| (f64::min(a, ms), f64::max(b, ms)));
        assert!(bounds.0 >= 40.0 && (70.0..95.0).contains(&bounds.1), "{bounds:?}");
        assert!(samples.iter().all(|s| s.in_flight < 250_000.0));
    }
}
