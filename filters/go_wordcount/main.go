// Counts lines, words and bytes in all files of datasets, and the most frequent words. The input `args` names the datasets,
// one a line; `--top N` says how many words to name (default 10).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// Memory is bounded: words beyond this many distinct ones are counted, but not by name.
const distinctMax = 100_000

type frequency struct {
	Word  string `json:"word"`
	Count uint64 `json:"count"`
}

type answer struct {
	Files    uint64      `json:"files"`
	Lines    uint64      `json:"lines"`
	Words    uint64      `json:"words"`
	Bytes    uint64      `json:"bytes"`
	Distinct int         `json:"distinct"`
	Partial  bool        `json:"partial"`
	Top      []frequency `json:"top"`
}

func count(path string, total *answer, words map[string]uint64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	total.Files++
	reader := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := reader.ReadSlice('\n')
		total.Bytes += uint64(len(line))
		if len(line) > 0 && err != bufio.ErrBufferFull {
			total.Lines++
		}
		for _, word := range strings.FieldsFunc(string(line), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			total.Words++
			word = strings.ToLower(word)
			if _, known := words[word]; known || len(words) < distinctMax {
				words[word]++
			} else {
				total.Partial = true
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
}

func run(arguments []string) error {
	top := 10
	var folders []string
	for i := 0; i < len(arguments); i++ {
		if arguments[i] == "--top" && i+1 < len(arguments) {
			value, err := strconv.Atoi(arguments[i+1])
			if err != nil || value < 0 || value > 1000 {
				return fmt.Errorf("--top takes 0 to 1000")
			}
			top = value
			i++
			continue
		}
		folders = append(folders, "/data/"+strings.TrimPrefix(arguments[i], "/data/"))
	}
	if len(folders) == 0 {
		return fmt.Errorf("name a dataset in the input args")
	}
	var total answer
	words := map[string]uint64{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			return count(path, &total, words)
		})
		if err != nil {
			return err
		}
	}
	total.Distinct = len(words)
	total.Top = []frequency{}
	for word, n := range words {
		total.Top = append(total.Top, frequency{word, n})
	}
	sort.Slice(total.Top, func(i, j int) bool {
		a, b := total.Top[i], total.Top[j]
		return a.Count > b.Count || (a.Count == b.Count && a.Word < b.Word)
	})
	total.Top = total.Top[:min(top, len(total.Top))]
	return json.NewEncoder(os.Stdout).Encode(total)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go_wordcount:", err)
		os.Exit(2)
	}
}
