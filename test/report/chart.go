package report

import (
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Panel is one diagram: values of several lines over the same points.
type Panel struct {
	Title, X, Y string
	// Points are the names along the horizontal axis, which are at equal distances.
	Points []string
	Lines  []Line
	// Log makes the vertical axis logarithmic. Values below 1e-6 are not drawn then.
	Log bool
}

// Line has a value for each point; math.NaN() is none.
type Line struct {
	Name   string
	Values []float64
	// Limit is a value for each point that those of the line should not pass, drawn
	// dashed in its colour.
	Limit []float64
}

// Limit is the same limit at n points.
func Limit(n int, value float64) []float64 { return slices.Repeat([]float64{value}, n) }

// These colours are told apart by most people who see colours otherwise (Okabe and Ito,
// Color Universal Design, 2008).
var colours = []color.RGBA{
	{R: 0, G: 114, B: 178, A: 255},
	{R: 213, G: 94, B: 0, A: 255},
	{R: 0, G: 158, B: 115, A: 255},
	{R: 204, G: 121, B: 167, A: 255},
	{R: 86, G: 180, B: 233, A: 255},
	{R: 230, G: 159, B: 0, A: 255},
}

const (
	panelWidth  = 12 * vg.Centimeter
	panelHeight = 8 * vg.Centimeter
	margin      = vg.Centimeter / 2
	columns     = 2
)

// writeSVG draws the panels, two in a row.
func writeSVG(name string, panels []Panel) error {
	across := min(columns, len(panels))
	rows := (len(panels) + across - 1) / across
	grid := make([][]*plot.Plot, rows)
	for i := range grid {
		grid[i] = make([]*plot.Plot, across)
	}
	for i, panel := range panels {
		p, err := panel.plot()
		if err != nil {
			return err
		}
		grid[i/across][i%across] = p
	}
	canvas := vgsvg.New(vg.Length(across)*panelWidth, vg.Length(rows)*panelHeight)
	tiles := draw.Tiles{
		Cols: across, Rows: rows, PadX: margin, PadY: margin,
		PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin,
	}
	for i, row := range plot.Align(grid, tiles, draw.New(canvas)) {
		for j, c := range row {
			if grid[i][j] != nil {
				grid[i][j].Draw(c)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

func (panel Panel) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = panel.Title, panel.X, panel.Y
	for _, style := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		style.Variant = "Sans"
	}
	p.Add(plotter.NewGrid())
	p.Y.Min, p.Y.Max = math.Inf(1), math.Inf(-1)
	for i, line := range panel.Lines {
		colour := colours[i%len(colours)]
		if err := panel.addLine(p, line.Name, line.Values, func(l *plotter.Line, s *plotter.Scatter) {
			l.Color, l.Width, s.Color, s.Shape = colour, vg.Points(1.5), colour, draw.CircleGlyph{}
		}); err != nil {
			return nil, err
		}
		if err := panel.addLine(p, "", line.Limit, func(l *plotter.Line, s *plotter.Scatter) {
			l.Color, l.Width, l.Dashes, s.Radius = colour, vg.Points(1), []vg.Length{vg.Points(4), vg.Points(3)}, 0
		}); err != nil {
			return nil, err
		}
	}
	p.NominalX(panel.Points...)
	p.X.Min, p.X.Max = -0.25, float64(len(panel.Points))-0.75
	p.Legend.Top = true
	if panel.Log {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		p.Y.Min, p.Y.Max = math.Pow10(int(math.Floor(math.Log10(p.Y.Min)))), 3*p.Y.Max
	} else {
		p.Y.Min, p.Y.Max = 0, 1.35*p.Y.Max // room for the legend
	}
	return p, nil
}

func (panel Panel) addLine(p *plot.Plot, name string, values []float64, style func(*plotter.Line, *plotter.Scatter)) error {
	var points plotter.XYs
	for i, value := range values {
		if math.IsNaN(value) || panel.Log && value < 1e-6 {
			continue
		}
		points = append(points, plotter.XY{X: float64(i), Y: value})
		p.Y.Min, p.Y.Max = min(p.Y.Min, value), max(p.Y.Max, value)
	}
	if len(points) == 0 {
		return nil
	}
	line, marks, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	style(line, marks)
	p.Add(line, marks)
	if name != "" {
		p.Legend.Add(name, line, marks)
	}
	return nil
}
