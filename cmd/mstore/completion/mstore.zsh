#compdef mstore
# zsh completion for mstore: source <(mstore completion zsh)
_mstore() {
	local -a found
	found=(${(f)"$(mstore __complete -- "${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)"})
	if (( ${#found} )); then
		compadd -- "${found[@]}"
	else
		_files
	fi
}
compdef _mstore mstore
