package main

import "slices"

// nearest is the candidate that a person most likely meant, or "" when none is near: it differs in no more than a
// third of the letters, where letters changed places, are missing, too many or wrong.
func nearest(typed string, candidates []string) string {
	const far = 4
	best, bestDistance := "", min(len(typed)/3+1, far)
	slices.Sort(candidates)
	for _, c := range candidates {
		if len(c) < 2 {
			continue
		}
		if d := distance(typed, c); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete, replace or swap with their neighbour between two words (optimal
// string alignment). Long words are far from everything.
func distance(a, b string) int {
	const long = 40
	if len(a) > long || len(b) > long {
		return long
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row := rows[(i-1)%3], rows[i%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
